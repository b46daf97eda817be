"""An entry's log, read on and on: its state, and how long somebody worked on it."""

from __future__ import annotations

from collections.abc import Sequence

from pegbox_methods.events import (
    AnyEvent,
    Checkpoint,
    Continued,
    Evaluation,
    Finished,
    Load,
    Memory,
    Notice,
    Phase,
    Prepared,
    Replanned,
    Sample,
    Started,
    Step,
    WorkerFailed,
)
from pegbox_runs.event_log import BadLine, EventReader
from pegbox_runs.fleet.post_files import PLACE
from pegbox_runs.process_mark import NO_PID
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, fold
from pegbox_runs.step_sums import highest

OF_WORKERS = Phase | Prepared | Step | Evaluation | Sample | Checkpoint | Load | WorkerFailed | Finished
"""What a worker tells while it works; what a supervisor adds may come days later."""


class EntryLog:
    """Reads what is new each time. For one thread."""

    def __init__(self, folder: RunFolder) -> None:
        self._reader = EventReader(folder.events)
        self._begun: float | None = None
        """When the newest worker was started; None: it waits for its place on a cluster."""
        self._last = 0.0
        self._before = 0.0
        """Seconds of the workers before it."""
        self.state = RunState()
        self.peak = Memory()
        """Of the settings that it trains with now: what ran out of memory before says nothing of them."""

    def read(self) -> None:
        """Take in what was written. Raises: OSError."""
        for block in self._reader.new():
            self.state = fold(block, self.state)
            for event in block:
                self._clock(event)
            self._measure(block)

    @property
    def wall_seconds(self) -> float:
        """Seconds in which it had a worker: what lies between two of them isn't counted, nor are pauses."""
        return self._before + (0.0 if self._begun is None else max(0.0, self._last - self._begun))

    def _measure(self, block: Sequence[AnyEvent | BadLine]) -> None:
        changed = [place for place, event in enumerate(block) if isinstance(event, Replanned) and _trains_anew(event)]
        if changed:
            self.peak = Memory()
        seen = [one.memory for one in block[changed[-1] if changed else 0 :] if isinstance(one, Step | Evaluation)]
        self.peak = highest(self.peak, seen) if seen else self.peak

    def _clock(self, event: AnyEvent | BadLine) -> None:
        if isinstance(event, OF_WORKERS) or (isinstance(event, Notice) and event.about == PLACE):
            self._last = event.time
            if self._begun is None:
                self._begun = event.time
        elif isinstance(event, Started):
            waits = event.worker_pid == NO_PID  # its post tells when it has its place
            self._before, self._begun, self._last = self.wall_seconds, None if waits else event.time, event.time
        elif isinstance(event, Continued):
            self._before, self._last = self._before - event.seconds, event.time


def _trains_anew(event: Replanned) -> bool:
    """Tell whether training itself was changed: fewer rows at once in evaluations leave its own peak what it was."""
    return any(change.key.startswith("training.") for change in event.changes)
