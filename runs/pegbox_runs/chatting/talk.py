"""A chat from the asker's side: it remembers, asks, and hears. The models may die and be loaded again meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from pegbox_methods.events import Answered, Event, Failed, Progress, Spoken
from pegbox_methods.refusal import Refusal
from pegbox_runs.chatting.records import BASE, JOB, Ask, Asked, ChatOrder, Interrupt, Opened, Rendered, Sampling, Told
from pegbox_runs.chatting.speakers import Speaker
from pegbox_runs.chatting.turns import Answer, Turn, history
from pegbox_runs.jobs import JobFailed, OpenJob
from pegbox_runs.rows.example import Message

POLL_SECONDS = 0.03
"""Between two looks at what the worker said."""


class Job(Protocol):
    """A worker that talks; `OpenJob` is the real one."""

    def say(self, record: object) -> bool:
        """Tell it more. Returns: whether there was somebody to tell it."""

    def heard(self) -> Iterator[Event]:
        """Give what it said since the last time."""

    def wait(self, seconds: float | None) -> bool:
        """Wait for its end, at most so long. Returns: whether it has ended."""

    def failure(self) -> JobFailed:
        """Say why it ended."""

    def close(self) -> None:
        """End it."""


Starter = Callable[[ChatOrder], Job]


def start_worker(order: ChatOrder) -> Job:
    """Start the real worker. Raises: JobFailed."""
    return OpenJob(JOB, order)


@dataclass(frozen=True)
class Lost:
    """The worker is gone, and with it all models; what was said is here."""

    why: str
    last_words: str = ""
    """What it printed last, where it couldn't say why itself."""


Heard = Progress | Opened | Rendered | Spoken | Lost


class Talk:
    """Some runs, and their base, that are asked the same. Close it in any case."""

    def __init__(
        self,
        speakers: Sequence[Speaker],
        *,
        sampling: Sampling,
        system: str | None = None,
        base: str | None = None,
        start: Starter = start_worker,
    ) -> None:
        """Prepare; `open` starts the worker. `system`: None: for each lane what its run was trained with.
        `base`: where the base model lies now, if it was moved since.
        """
        self.speakers = tuple(speakers)
        self.sampling = sampling
        self.system = system
        self.turns: list[Turn] = []
        self.progress: Progress | None = None
        self.opened: Opened | None = None
        """None: the models aren't loaded."""
        self.lost: Lost | None = None
        """Why the last worker ended, until another one has loaded the models."""
        self._order = ChatOrder(runs=tuple(str(one.run.folder.path.absolute()) for one in self.speakers), base=base)
        self._start = start
        self._job: Job | None = None
        self._number = 0

    @property
    def lanes(self) -> tuple[str, ...]:
        """All that may speak: the base, then the runs in their order."""
        return (BASE, *(speaker.lane for speaker in self.speakers))

    @property
    def answering(self) -> bool:
        """Whether somebody still speaks, or is about to."""
        return bool(self.turns) and not self.turns[-1].over

    def speaker(self, lane: str) -> Speaker:
        """Give the run of a lane; of the base lane the run that it is asked like."""
        return next((speaker for speaker in self.speakers if speaker.lane == lane), self.speakers[0])

    def system_of(self, lane: str) -> str:
        """Give what a lane is told before all else; empty: nothing."""
        trained = self.speaker(lane).trained
        return (trained.system if self.system is None else self.system) if trained.templated else ""

    def open(self) -> None:
        """Start a worker, if there is none. Raises: JobFailed."""
        if self._job is None:
            self._job = self._start(self._order)

    def ask(self, question: str, lanes: Sequence[str], *, same: Turn | None = None) -> Turn:
        """Ask some lanes; whoever still speaks is interrupted. A worker that is gone is started again.

        `same`: the turn in which other lanes were asked this already; None: it is a new one.
        Raises: JobFailed: it can't be started.
        """
        self.interrupt()
        question = sendable(question)
        asked = self._asked(question, lanes)
        self.open()
        turn = same
        if turn is None:
            self._number += 1
            turn = Turn(self._number, question)
            self.turns.append(turn)
        turn.answers.update((lane, Answer(lane)) for lane in lanes)
        self._say(Ask(turn=turn.number, asked=asked, sampling=self.sampling))
        return turn

    def show(self, question: str, lanes: Sequence[str]) -> None:
        """Have what the lanes would be shown told, as turn 0, without an answer. Raises: JobFailed."""
        self.open()
        self._say(Ask(turn=0, asked=self._asked(sendable(question), lanes), sampling=self.sampling, answering=False))

    def interrupt(self) -> None:
        """Let whoever speaks stop; what was said stays."""
        if self.answering:
            self._say(Interrupt())

    def forget(self) -> None:
        """Begin anew, with the models as they are."""
        self.interrupt()
        self.turns.clear()

    def hear(self) -> list[Heard]:
        """Take in what the worker said since the last time. What belongs to a forgotten question is left out."""
        if self._job is None:
            return []
        ended = self._job.wait(0)  # looked at before the log is read, so that nothing is said behind it
        found = [heard for event in self._job.heard() if (heard := self._taken(event)) is not None]
        if ended:
            found.append(self._lose())
        return found

    def close(self) -> None:
        """End the worker."""
        if self._job is not None:
            self._job.close()
            self._job = None

    def _asked(self, question: str, lanes: Sequence[str]) -> tuple[Asked, ...]:
        return tuple(
            Asked(
                lane=lane,
                messages=(*history(self.turns, lane, self.system_of(lane)), Message("user", question)),
                templated=self.speaker(lane).trained.templated,
            )
            for lane in lanes
        )

    def _say(self, record: object) -> None:
        if self._job is not None:
            self._job.say(record)  # a worker that is gone is told when it is heard

    def _taken(self, event: Event) -> Heard | None:
        match event:
            case Progress():
                self.progress = event
                return event
            case Spoken():
                return event if self._answered(event) else None
            case Answered():
                told: Told = _TOLD.decode(event.answer)
                if isinstance(told, Opened):
                    self.opened, self.progress, self.lost = told, None, None
                elif told.turn and not self._shown(told):
                    return None
                return told
            case Failed():
                return None  # told by the worker's end
        return None

    def _answered(self, said: Spoken) -> bool:
        turn = self._turn(said.turn)
        if turn is None or said.lane not in turn.answers:
            return said.turn == 0
        turn.answers[said.lane] = turn.answers[said.lane].after(said)
        return True

    def _shown(self, rendered: Rendered) -> bool:
        turn = self._turn(rendered.turn)
        if turn is None or rendered.lane not in turn.answers:
            return False
        turn.answers[rendered.lane] = replace(turn.answers[rendered.lane], rendered=rendered)
        return True

    def _turn(self, number: int) -> Turn | None:
        return next((turn for turn in reversed(self.turns) if turn.number == number), None)

    def _lose(self) -> Lost:
        """Let a worker go that has ended; whoever was speaking has ended too."""
        job, self._job = self._job, None
        self.opened = self.progress = None
        failed = job.failure() if job is not None else JobFailed("the worker is gone")
        if job is not None:
            job.close()
        for turn in self.turns:
            turn.give_up(failed.sentence)
        self.lost = Lost(failed.sentence, failed.last_words)
        return self.lost


def sendable(text: str) -> str:
    """Replace what no text can hold: half of a surrogate pair, as of a byte that isn't UTF-8."""
    return text.encode("utf-8", "replace").decode()


def refuse_nothing(question: str) -> None:
    """Refuse a question without a letter. Raises: Refusal."""
    if not question.strip():
        raise Refusal("The question is empty.")


_TOLD = msgspec.json.Decoder(Told)
