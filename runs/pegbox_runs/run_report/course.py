"""A run's log, read once: its state, what happened on the way, and what the advisor would have said."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pegbox_methods.events import AnyEvent, Evaluation, Joined, Prepared, RankFailed, Started, Step
from pegbox_runs.advisor import Hint, hints
from pegbox_runs.event_log import BadLine, EventReader
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, fold
from pegbox_runs.timeline import sentence
from pegbox_runs.together import failure_sentence, joined_sentence, without_machines
from pegbox_runs.viewing import mark_lost

FIRST_KEPT, LAST_KEPT = 60, 240
"""Happenings that are listed: the first and the newest."""
LOOKS = 200
"""How often the advisor is asked at most, over the whole run."""


@dataclass(frozen=True)
class Happened:
    """One thing a person may want to know of, as a sentence."""

    time: float
    """Seconds since 1970."""
    step: int
    text: str


@dataclass(frozen=True)
class Advised:
    """One thing that the advisor saw, and how long."""

    hint: Hint
    """As it was last seen."""
    first_step: int
    last_step: int
    at_the_end: bool
    """Whether it is so where the log ends."""
    change: str
    """What a person changed after it was first seen; empty: nothing."""


@dataclass(frozen=True)
class Course:
    """The whole of it."""

    state: RunState
    happened: tuple[Happened, ...]
    left_out: int
    """Happenings between the first and the newest that aren't listed."""
    advised: tuple[Advised, ...]


def read_course(folder: RunFolder) -> Course:
    """Read a run's log from its beginning to what it holds now. Raises: OSError."""
    reading = _Reading()
    for block in EventReader(folder.events).new():
        reading.take(block)
    state = mark_lost(reading.state, folder)
    return Course(state, reading.happened, reading.left_out, reading.advised(state))


class _Reading:
    """What was read so far."""

    def __init__(self) -> None:
        self.state = RunState()
        self._first: list[Happened] = []
        self._newest: deque[Happened] = deque(maxlen=LAST_KEPT)
        self._count = 0
        self._seen: dict[str, tuple[Hint, int, int]] = {}
        """By the hint's name: it, and the first and the last step at which it was given."""
        self._looked_at = -1

    @property
    def happened(self) -> tuple[Happened, ...]:
        return (*self._first, *self._newest)

    @property
    def left_out(self) -> int:
        return self._count - len(self._first) - len(self._newest)

    def take(self, block: Sequence[AnyEvent | BadLine]) -> None:
        """Fold a block, and stop where the advisor shall look or something is to be listed."""
        begun = 0
        for place, event in enumerate(block):
            if type(event) is Step:
                continue
            self.state = fold(block[begun:place], self.state)
            begun = place
            if isinstance(event, BadLine) or not 0 < event.seq <= self.state.last_seq:
                self._note(event)
            if isinstance(event, Evaluation) and self._due():
                self.state, begun = fold([event], self.state), place + 1
                self._look()
        self.state = fold(block[begun:], self.state)

    def advised(self, state: RunState) -> tuple[Advised, ...]:
        """Look for the last time, and give all that was seen, the newest state's first."""
        last = {hint.name: hint for hint in hints(state)}
        steps = state.steps_done
        for name, hint in last.items():
            _, first, _ = self._seen.get(name, (hint, steps, steps))
            self._seen[name] = (hint, first, steps)
        found = [
            Advised(hint, first, until, name in last, _change_after(first, state))
            for name, (hint, first, until) in self._seen.items()
        ]
        return tuple(sorted(found, key=lambda one: (not one.at_the_end, one.first_step)))

    def _due(self) -> bool:
        planned = self.state.prepared.steps if self.state.prepared else 0
        return self.state.steps_done - self._looked_at >= max(1, planned // LOOKS)

    def _look(self) -> None:
        step = self._looked_at = self.state.steps_done
        for hint in hints(self.state):
            _, first, _ = self._seen.get(hint.name, (hint, step, step))
            self._seen[hint.name] = (hint, first, step)

    def _note(self, event: AnyEvent | BadLine) -> None:
        said = _said(event)
        if said is None:
            return
        time = self.state.last_time if isinstance(event, BadLine) else event.time
        self._count += 1
        told = Happened(time, self.state.steps_done, without_machines(said, self.state))
        (self._first if len(self._first) < FIRST_KEPT else self._newest).append(told)


def _said(event: AnyEvent | BadLine) -> str | None:
    match event:
        case Started():
            return f"worker {event.attempt} began, of Pegbox {event.version}"
        case Prepared():
            return f"all is loaded and counted: {event.steps:,} steps on {event.device} in {event.precision}"
        case Joined():
            return joined_sentence(event, names=False)
        case RankFailed():
            return failure_sentence(event, names=False)
    return sentence(event)


def _change_after(step: int, state: RunState) -> str:
    """Say what a person changed at or after a step; the first time alone."""
    asked = next((one for one in state.replanned if one.why == "asked" and one.step >= step), None)
    return "" if asked is None else f"after step {asked.step:,}: {asked.text}"
