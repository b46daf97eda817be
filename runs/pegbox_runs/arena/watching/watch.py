"""Looking at a comparison from any process: how each contestant stands, what runs, what is found so far."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.entries import Entry
from pegbox_runs.arena.outcomes import possible_entries
from pegbox_runs.arena.results import Results, read_results
from pegbox_runs.arena.spec import Comparison, read_comparison
from pegbox_runs.arena.watching.entry_watching import EntryNow, EntryWatch
from pegbox_runs.arena.watching.standings import Contestant, Watched, known_by_results, told
from pegbox_runs.event_log import EventReader
from pegbox_runs.run_state import RunState, catch_up
from pegbox_runs.viewing import ALIVE_SECONDS, is_deleted, mark_lost

__all__ = ["Contestant", "EntryNow", "Watched", "await_more", "follow_comparison", "watched_now"]

POLL_SECONDS, POLL_SHARE = 0.5, 0.2
"""Between two looks; more where there are so many entries that looking would take more than such a share of the
processor.
"""
FIRST_BREATH_SECONDS, BREATH_SECONDS = 0.3, 0.05
"""Between two portions of long logs: keys and drawing have their turn, above all the first frame."""
PORTION_SECONDS = 0.25
"""Between two words of how far the entries' logs are read, while they are read for the first time."""


def follow_comparison(folder: ComparisonFolder, left: threading.Event | None = None) -> Iterator[Watched]:
    """Give a comparison as it is, and whenever something changed, until it has ended, is lost or deleted.

    The first ones come before all entries' logs are read; their share tells. Another thread may set `left` to end the
    following. Raises: OSError: its folder can't be read just now.
    """
    left = left or threading.Event()
    watch = ComparisonWatch(folder)
    while not left.is_set():
        last, began = False, time.thread_time()
        for watched in watch.look():
            last = watched.over and watched.share == 1.0
            yield watched
            if watched.share < 1.0:  # whoever draws it has its turn
                left.wait(BREATH_SECONDS if watched.share else FIRST_BREATH_SECONDS)
            if left.is_set():
                return
        if last or (watch.now is not None and watch.now.over):
            return
        left.wait(max(POLL_SECONDS, (time.thread_time() - began) / POLL_SHARE))


def watched_now(folder: ComparisonFolder) -> Watched:
    """Give a comparison as it is, read once. Raises: OSError."""
    return list(ComparisonWatch(folder).look())[-1]


def await_more(folder: ComparisonFolder, seen: Watched, left: threading.Event) -> bool:
    """Wait until a comparison that has ended tells more than was seen. Returns: False: nobody looks, or it is gone."""
    reader, state = EventReader(folder.events), RunState()
    while True:
        if is_deleted(folder):
            return False
        state = catch_up(reader, state)
        if state.last_seq > seen.state.last_seq:
            return True
        if left.wait(ALIVE_SECONDS):
            return False


class ComparisonWatch:
    """Reads a comparison's folder, and of what it has read before only what changed."""

    def __init__(self, folder: ComparisonFolder) -> None:
        self._folder = folder
        self._reader = EventReader(folder.events)
        self._written = RunState()
        """What its log tells."""
        self._state = RunState()
        """The same, or `lost` where nobody carries it."""
        self._stamps: dict[Path, object] = {}
        self._comparison: Comparison | None = None
        self._possible: dict[str, Entry] = {}
        self._fault = ""
        self._results: Results | None = None
        self._known: dict[str, EntryNow] = {}
        """Entries whose logs needn't be read."""
        self._watches: dict[str, EntryWatch] = {}
        self._alive_at = 0.0
        self.now: Watched | None = None
        """The newest one that was given."""

    def look(self) -> Iterator[Watched]:
        """Read what is new. Gives nothing where nothing is, and several where much is. Raises: OSError."""
        changed = self._look_at_itself()
        if self._is_new(self._folder.comparison) | self._is_new(self._folder.paced):
            self._read_comparison()
            changed = True
        if self._is_new(self._folder.results):
            self._results = read_results(self._folder) or self._results
            changed = True
        comparison = self._comparison
        if comparison is None or self._state.deleted:
            if changed or self.now is None:
                yield self._told({})
            return
        if changed:
            self._known = known_by_results(self._results, comparison)
        known = self._known
        there = self._entries_there()
        to_read = [id_ for id_ in there if id_ not in known]
        gone = self._watches.keys() - set(to_read)
        for id_ in gone:
            del self._watches[id_]
        changed = changed or bool(gone)
        if self.now is None:
            yield self._told({id_: known[id_] for id_ in known.keys() & there.keys()}, 0.0 if to_read else 1.0)
        told = time.monotonic()
        for number, id_ in enumerate(to_read):
            watch = self._watches.get(id_)
            if watch is None:
                watch = self._watches[id_] = EntryWatch(
                    there[id_], self._folder.entry(id_), search=comparison.asked.search
                )
                changed = True
            changed = watch.look() or changed
            if time.monotonic() > told + PORTION_SECONDS and number + 1 < len(to_read):
                told = time.monotonic()
                yield self._told(self._entries(known, there), (number + 1) / len(to_read))
        if changed or self.now is None or self.now.share < 1.0:
            yield self._told(self._entries(known, there))

    def _look_at_itself(self) -> bool:
        """Read the comparison's own log, and look now and then whether anybody still carries it."""
        before, written = self._state, self._written
        self._written = catch_up(self._reader, written)
        if is_deleted(self._folder):
            self._state = msgspec.structs.replace(before, deleted=True)
        elif self._written is not written or time.monotonic() >= self._alive_at:
            self._alive_at = time.monotonic() + ALIVE_SECONDS
            lost = mark_lost(self._written, self._folder).status == "lost"
            # Looked at before the log is read once more: the end may have been written just before the process went.
            self._written = catch_up(self._reader, self._written)
            self._state = mark_lost(self._written, self._folder) if lost else self._written
        return self._state is not before

    def _read_comparison(self) -> None:
        try:
            self._comparison, self._fault = read_comparison(self._folder), ""
            self._possible = possible_entries(self._comparison)
        except Refusal as refusal:
            self._fault = refusal.sentence

    def _is_new(self, path: Path) -> bool:
        stamp = _stamp(path)
        if path in self._stamps and self._stamps[path] == stamp:
            return False
        self._stamps[path] = stamp
        return True

    def _entries_there(self) -> dict[str, Entry]:
        try:
            names = os.listdir(self._folder.entries)  # noqa: PTH208  # of ten thousand, paths would take longer
            return {name: self._possible[name] for name in names if name in self._possible}
        except FileNotFoundError:
            return {}

    def _entries(self, known: Mapping[str, EntryNow], there: Mapping[str, Entry]) -> dict[str, EntryNow]:
        read = {id_: watch.now for id_, watch in self._watches.items()}
        return read | {id_: known[id_] for id_ in known.keys() & there.keys()}

    def _told(self, entries: Mapping[str, EntryNow], share: float = 1.0) -> Watched:
        self.now = told(self._folder.id, self._state, self._comparison, self._results, entries, self._fault, share)
        return self.now


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Give what is another where a file was written anew or has grown; None: it isn't there."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino
