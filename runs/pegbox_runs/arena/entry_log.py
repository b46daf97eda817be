"""An entry's log, read on and on: its state, and how long somebody worked on it."""

from __future__ import annotations

from pegbox_methods.events import (
    AnyEvent,
    Checkpoint,
    Continued,
    Evaluation,
    Finished,
    Load,
    Phase,
    Prepared,
    Sample,
    Started,
    Step,
    WorkerFailed,
)
from pegbox_runs.event_log import BadLine, EventReader
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, fold

OF_WORKERS = Phase | Prepared | Step | Evaluation | Sample | Checkpoint | Load | WorkerFailed | Finished
"""What a worker tells while it works; what a supervisor adds may come days later."""


class EntryLog:
    """Reads what is new each time. For one thread."""

    def __init__(self, folder: RunFolder) -> None:
        self._reader = EventReader(folder.events)
        self._begun: float | None = None
        """When the newest worker was started."""
        self._last = 0.0
        self._before = 0.0
        """Seconds of the workers before it."""
        self.state = RunState()

    def read(self) -> None:
        """Take in what was written. Raises: OSError."""
        for block in self._reader.new():
            self.state = fold(block, self.state)
            for event in block:
                self._clock(event)

    @property
    def wall_seconds(self) -> float:
        """Seconds in which it had a worker: what lies between two of them isn't counted, nor are pauses."""
        return self._before + (0.0 if self._begun is None else max(0.0, self._last - self._begun))

    def _clock(self, event: AnyEvent | BadLine) -> None:
        if isinstance(event, OF_WORKERS):
            self._last = event.time
        elif isinstance(event, Started):
            self._before, self._begun, self._last = self.wall_seconds, event.time, event.time
        elif isinstance(event, Continued):
            self._before, self._last = self._before - event.seconds, event.time
