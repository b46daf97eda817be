"""A chat whose models are made up: what stands where the worker would, and the runs that it seems to have loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from pegbox_methods.events import Answered, Event, Progress, Spoken
from pegbox_methods.recipe import Method, Model, Recipe, Rows, Training
from pegbox_methods.registry import find_card
from pegbox_runs.base_prints import BasePrints
from pegbox_runs.chatting.as_trained import AsTrained
from pegbox_runs.chatting.records import (
    JOB,
    Ask,
    ChatOrder,
    EndOfAnswer,
    Interrupt,
    Lane,
    Opened,
    Rendered,
    Sampling,
    Told,
)
from pegbox_runs.chatting.speakers import Speaker
from pegbox_runs.chatting.talk import Talk
from pegbox_runs.environment import Environment, describe
from pegbox_runs.jobs import JobFailed
from pegbox_runs.models import find_model
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.tuned import TunedRun

BUNDLED = Model(name="bundled")
LORA, DORA = "20260101-000000-lora-abcd", "20260101-000000-dora-beef"


class PretendedModels:
    """Says what the test has it say, and keeps what it was told."""

    def __init__(self) -> None:
        self.orders: list[ChatOrder] = []
        self.told: list[Ask | Interrupt] = []
        self.dead = ""
        self.closed = 0
        self._events: list[Event] = []

    def start(self, order: ChatOrder) -> PretendedModels:
        """Stand for a new worker."""
        self.orders.append(order)
        self.dead = ""
        return self

    def say(self, record: object) -> bool:
        """Keep what it is told, as it arrives at the other end of a pipe."""
        self.told.append(msgspec.json.decode(msgspec.json.encode(record), type=Ask | Interrupt))
        return not self.dead

    def heard(self) -> Iterator[Event]:
        """Give what was put there."""
        events, self._events = self._events, []
        yield from events

    def wait(self, seconds: float | None) -> bool:
        """Live until it is killed."""
        return bool(self.dead)

    def failure(self) -> JobFailed:
        """Say why it died."""
        return JobFailed(self.dead, log_tail="last words")

    def close(self) -> None:
        """Count it."""
        self.closed += 1

    def loads(self, doing: str) -> None:
        """Let it say how far it is."""
        self._events.append(Progress(doing=doing))

    def opens(self, talk: Talk) -> None:
        """Let it say that all are loaded."""
        lanes = tuple(Lane(lane=lane, context=1024, packed=False, shares=True) for lane in talk.lanes)
        self._put(Opened(lanes=lanes, device="cpu"))

    def shows(self, lane: str, turn: int, text: str, *, tokens: int = 20, dropped: int = 0) -> None:
        """Let it say what a lane is shown."""
        ids = tuple(range(100, 100 + tokens))
        room = 1024 - tokens
        self._put(
            Rendered(lane=lane, turn=turn, prompt=text.encode(), ids=ids, dropped=dropped, room=room, context=1024)
        )

    def speaks(
        self, lane: str, turn: int, text: str, *, tokens: int = 8, end: EndOfAnswer = "complete", why: str = ""
    ) -> None:
        """Let a lane say something, at ten tokens a second."""
        self._events.append(
            Spoken(lane=lane, turn=turn, text=text, tokens=tokens, seconds=tokens / 10, end=end, why=why)
        )

    def _put(self, told: Told) -> None:
        self._events.append(Answered(job=JOB, answer=msgspec.Raw(msgspec.json.encode(told))))

    @property
    def asked(self) -> Ask:
        """Give the last question."""
        return next(told for told in reversed(self.told) if isinstance(told, Ask))


def _environment() -> Environment:
    return describe(rows_sha256="r", held_out_sha256=None, base=BasePrints("m", "w", "t", "c"))


def speaker(run: str = LORA, method: str = "lora", *, trained: AsTrained | None = None) -> Speaker:
    """Make up a run."""
    recipe = Recipe(
        model=BUNDLED, rows=Rows(file="/rows.jsonl"), method=Method(name=method), training=Training(length=256)
    )
    tuned = TunedRun(RunFolder(Path("/runs") / run), recipe, _environment(), find_card(method), find_model(BUNDLED))
    return Speaker(tuned, trained or AsTrained(templated=True))


def talk_of(
    models: PretendedModels, *speakers: Speaker, sampling: Sampling | None = None, system: str | None = None
) -> Talk:
    """Begin a chat."""
    return Talk(speakers or (speaker(),), sampling=sampling or Sampling(), system=system, start=models.start)
