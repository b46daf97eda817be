"""What the watcher sees of each process: its file, and, on this machine, the process itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import psutil

from pegbox_runs.crew.rank_files import RankRecord, read_ranks
from pegbox_runs.crew.watching import COMING_SECONDS, STEPPING, Facts, Seen
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder

MOST_LATE_SECONDS = 5.0
"""By how much a look may come later than the last one without the time between being taken for anybody's silence."""


@dataclass
class _Watched:
    record: RankRecord
    mark: str | None
    """None: its process was gone when its file was first seen, or is on another machine."""
    here: bool
    """By its number, not by what it says: two machines may have one name, and process ids mean nothing elsewhere."""
    spoke: float
    moved: float
    gone: float | None = None


class Sight:
    """All processes of one worker of a run, from look to look. Times are those of the caller's monotonic clock."""

    def __init__(self, folder: RunFolder, attempt: int, expected: int, now: float, local: range | None = None) -> None:
        """`local`: the numbers of those on this machine; None: all."""
        self._folder, self._attempt, self._expected = folder, attempt, expected
        self._local = range(expected) if local is None else local
        self._ranks: dict[int, _Watched] = {}
        self._began = self._looked = now
        self._longest: float | None = None

    @property
    def records(self) -> dict[int, RankRecord]:
        """Give what each said last, by rank."""
        return {rank: watched.record for rank, watched in sorted(self._ranks.items())}

    @property
    def here(self) -> list[tuple[int, str]]:
        """Give ids and marks of those on this machine."""
        ranks = self._ranks.values()
        return [(watched.record.pid, watched.mark) for watched in ranks if watched.mark is not None]

    @property
    def all_gone(self) -> bool:
        """Tell whether all were on this machine, and none of them lives."""
        ranks = self._ranks.values()
        return len(ranks) == self._expected and all(watched.gone is not None for watched in ranks)

    def look(self, now: float, coming: float = COMING_SECONDS) -> Facts:
        """Look at all. `coming`: how long after the first the last one may come."""
        late = now - self._looked - MOST_LATE_SECONDS
        if late > 0:
            self._forgive(late)  # this process was held, or the machine slept: so, perhaps, did they
        self._looked = now
        for rank, record in read_ranks(self._folder, self._attempt).items():
            self._see(rank, record, now)
        seen = [self._seen(watched, now) for _, watched in sorted(self._ranks.items())]
        since = now - self._began
        return Facts(seen, self._expected, since_first=since, longest=self._longest, coming=coming)

    def _see(self, rank: int, record: RankRecord, now: float) -> None:
        known = self._ranks.get(rank)
        if known is None or known.record.pid != record.pid:
            if not self._ranks:
                self._began = now
            here = rank in self._local
            mark = process_mark(record.pid) if here else None
            self._ranks[rank] = _Watched(record, mark, here, spoke=now, moved=now)
            return
        if record.advanced != known.record.advanced:
            if record.doing in STEPPING and known.record.doing in STEPPING:
                self._longest = max(self._longest or 0.0, now - known.moved)
            known.moved = now
        if record.beat != known.record.beat:
            known.spoke = now
        known.record = record

    def _seen(self, watched: _Watched, now: float) -> Seen:
        record = watched.record
        if watched.here and watched.gone is None and not _lives(record.pid, watched.mark):
            watched.gone = now
        return Seen(
            rank=record.rank,
            host=record.host,
            step=record.step,
            doing=record.doing,
            quiet=now - watched.spoke,
            still=now - watched.moved,
            gone=None if watched.gone is None else now - watched.gone,
            stopped=watched.here and watched.gone is None and _is_stopped(record.pid),
            failing=record.trouble is not None,
        )

    def _forgive(self, seconds: float) -> None:
        self._began += seconds
        for watched in self._ranks.values():
            watched.spoke += seconds
            watched.moved += seconds


def _lives(pid: int, mark: str | None) -> bool:
    return mark is not None and process_mark(pid) == mark


def _is_stopped(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    return False
