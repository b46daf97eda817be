"""What a director knows of its comparison: what is asked, what has become of each entry, and so what is due."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from pegbox_methods.events import Failed, Notice
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing.lanes import trouble
from pegbox_runs.arena.due_line import DueLine
from pegbox_runs.arena.entries import Entry
from pegbox_runs.arena.outcomes import OutcomeReader
from pegbox_runs.arena.spec import read_comparison

LOOK_SECONDS = 2.0
"""Between two looks for contestants that were added, while a lane is free."""
CHEAP_SECONDS, LOOK_SHARE = 0.05, 0.05
"""Of the processor: a look at all entries that takes more waits until it takes no more than such a share of the time.
What has ended is looked at by itself meanwhile."""


class Outlook:
    """Read from the folders, and kept up to date. For one thread."""

    def __init__(self, folder: ComparisonFolder, tell: Callable[[Notice], None]) -> None:
        """Read what is asked; the entries are read by `look`. Raises: Refusal: it can't be read."""
        self._folder = folder
        self._tell = tell
        self.reader = OutcomeReader(folder)
        self.line = DueLine(read_comparison(folder), {})
        self.begun: Counter[str] = Counter()
        """How often each entry was begun here since it was over last."""
        self.trouble: Failed | None = None
        """Why the comparison couldn't be read."""
        self._remarks: set[str] = set()
        self._next_at = self._cheap_at = 0.0

    @property
    def stale(self) -> bool:
        """Whether somebody may have added something since the last look."""
        return time.monotonic() >= self._next_at

    def look(self) -> None:
        """Read anew what is asked for and what has become of it."""
        began = time.thread_time()
        self._next_at = time.monotonic() + LOOK_SECONDS
        try:
            asked = read_comparison(self._folder)
            comparison = self.line.comparison if asked == self.line.comparison else asked
            self.line.learn(comparison, self.reader.read(comparison))
        except (Refusal, OSError) as error:
            self.trouble = self.trouble or trouble(error, "reading the comparison")
        for id_ in [id_ for id_ in self.begun if id_ in self.line.outcomes and self.line.outcomes[id_].over]:
            del self.begun[id_]  # it may be tried again, if somebody wants that
        for remark in self.reader.remarks:
            if remark not in self._remarks:
                self._remarks.add(remark)
                self._tell(Notice(text=remark, about="entries"))
        took = time.thread_time() - began
        self._cheap_at = time.monotonic() + (took / LOOK_SHARE if took > CHEAP_SECONDS else 0.0)

    def look_if_cheap(self) -> None:
        """Read all anew, unless that was done just now and takes long."""
        if time.monotonic() >= self._cheap_at:
            self.look()

    def look_at_one(self, entry: Entry) -> None:
        """Read anew what has become of one entry."""
        one = self.reader.read_one(entry, self.line.comparison)
        if one is None:  # its folder is gone, and what else may be isn't known
            self.look()
            return
        self.line.learn_one(one)
        if one.over:
            self.begun.pop(entry.id, None)
