"""A run's log as its supervisor keeps it: read to its end, and added to while no worker lives."""

from __future__ import annotations

import time
from collections.abc import Callable

from pegbox_methods.events import CommandAnswer, Event, Failed, Finished, Notice
from pegbox_runs.event_log import LOG_GAP, BadLine, EventReader
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, fold
from pegbox_runs.supervision.attempts import Attempts
from pegbox_runs.supervision.telling import tell

LAST_WORD_SECONDS = 60.0
"""How long a full disk is asked again to take the run's end."""
ASK_AGAIN_SECONDS = 1.0


class Ledger:
    """What the log holds, and what this process told; where the disk refuses a line, the latter knows more."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._reader = EventReader(folder.events)
        self._untold: list[Event] = []
        """What a full disk refused, to be told with the next."""
        self._answered: set[str] = set()
        self._end: Finished | Failed | None = None
        self.state = RunState()
        self.attempts = Attempts()
        self.read()

    def read(self) -> int:
        """Take in what was written. Returns: how many events that were, without what the writer itself told of gaps."""
        told = 0
        for block in self._reader.new():
            self.state = fold(block, self.state)
            for event in block:
                self.attempts = self.attempts.after(event)
                told += not isinstance(event, BadLine) and not (isinstance(event, Notice) and event.about == LOG_GAP)
        return told

    def tell(self, *events: Event) -> None:
        """Append events while no worker does, and take them in even where the disk refuses them."""
        self.read()
        self._untold += events
        tell(self._folder, *self._untold)
        del self._untold[: self.read()]  # they are written in order
        for event in events:
            self.attempts = self.attempts.after(event)  # type: ignore[arg-type]  # once more is once
            if isinstance(event, CommandAnswer):
                self._answered.add(event.id)
            if isinstance(event, Finished | Failed):
                self._end = event

    @property
    def answered(self) -> frozenset[str]:
        """Ids of the commands that somebody has answered."""
        return self.state.answered | self._answered

    def insist(self, wait: Callable[[float], None]) -> None:
        """See that the end is in the log: a disk that was full is asked again for a while."""
        deadline = time.monotonic() + LAST_WORD_SECONDS
        while self._end is not None and not self.state.over and time.monotonic() < deadline:
            wait(ASK_AGAIN_SECONDS)
            self.tell()
