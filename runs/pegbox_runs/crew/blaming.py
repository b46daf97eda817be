"""Which process it was that ended a run's worker, and what is told of each: pure, once all are gone."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pegbox_methods.events import RankFailed, Trouble, WorkerFailed
from pegbox_runs.crew.launched import RankExit
from pegbox_runs.crew.rank_files import RankRecord, RankTrouble
from pegbox_runs.crew.watching import Broken
from pegbox_runs.printable import one_line
from pegbox_runs.supervision.policy import LESS_MEMORY, READ_THE_LOG
from pegbox_runs.supervision.worker_process import signal_name

MOST_TOLD = 64
"""Processes of which a failure tells one by one, the cause first."""
HOST_CHARACTERS = 80


@dataclass(frozen=True)
class Ends:
    """What is known of a worker's end."""

    records: Mapping[int, RankRecord]
    """What each process said last."""
    exits: Sequence[RankExit]
    """What the launchers told of processes that failed, the first one first."""
    launcher: int | None
    """The launcher's exit code, or minus the signal that ended it; None: it lived until it was killed here."""
    last_words: str = ""
    """The last line that was printed."""
    broken: Broken | None = None
    """What the watcher saw, where it ended all by itself."""
    host: str = ""
    """Machine of the launcher."""
    memory: str = ""
    """What says that the kernel killed one for memory; empty: nothing does."""


@dataclass(frozen=True)
class Cause:
    """What went wrong, and with whom."""

    rank: int | None
    kind: Trouble
    what: str
    trouble: RankTrouble | None = None


def blame(ends: Ends, where: str, step: int) -> tuple[list[RankFailed], WorkerFailed]:
    """Say what happened to each process, the cause first, and to the run's worker. `where`, `step`: by the log."""
    cause = _cause(ends)
    trouble = cause.trouble
    failed = WorkerFailed(
        kind=cause.kind,
        what=cause.what,
        where=trouble.where if trouble is not None else where,
        remedy=trouble.remedy if trouble is not None else LESS_MEMORY if cause.kind == "host-memory" else READ_THE_LOG,
        doing="" if trouble is None else trouble.doing,
        step=step,
    )
    return _each(ends, cause), failed


def _cause(ends: Ends) -> Cause:
    """Find it: what a process itself said, else what the watcher saw, else how processes ended, the first one first."""
    return _said(ends) or _seen(ends) or _killed(ends) or _lost(ends) or _launcher(ends)


def _said(ends: Ends) -> Cause | None:
    own = {
        rank: record.trouble
        for rank, record in ends.records.items()
        if record.trouble is not None and not record.trouble.lost_peer
    }
    if not own:
        return None
    order = {found.rank: place for place, found in enumerate(ends.exits)}
    # A plain error may be another one's loss that a library worded in a way nobody knew.
    alike = len(own) == len(ends.records) and len({one.what for one in own.values()}) == 1
    rank = min(own, key=lambda rank: (own[rank].kind == "error", 0 if alike else order.get(rank, len(order)), rank))
    trouble = own[rank]
    what = trouble.what if alike else f"{_name(ends, rank)}: {trouble.what}"
    return Cause(rank, trouble.kind, what, trouble)


def _seen(ends: Ends) -> Cause | None:
    if ends.broken is None:
        return None
    known = {found.rank: found for found in ends.exits}
    if ends.broken.rank in known:
        return None  # its exit says more
    return Cause(ends.broken.rank, "crash", ends.broken.what)


def _killed(ends: Ends) -> Cause | None:
    losers = {rank for rank, record in ends.records.items() if record.trouble is not None and record.trouble.lost_peer}
    first = next((found for found in ends.exits if found.rank not in losers), None)
    if first is None:
        return None
    name = _name(ends, first.rank)
    if first.code == -signal.SIGKILL and ends.memory:
        return Cause(first.rank, "host-memory", f"{name}: the kernel killed it for memory ({ends.memory})")
    return Cause(first.rank, "crash", f"{name} {_ended(first.code)}")


def _lost(ends: Ends) -> Cause | None:
    losers = [record for record in ends.records.values() if record.trouble is not None]
    if not losers or losers[0].trouble is None:
        return None
    record, trouble = losers[0], losers[0].trouble
    return Cause(record.rank, "crash", f"{_name(ends, record.rank)}: {trouble.what}")


def _launcher(ends: Ends) -> Cause:
    code = ends.launcher
    before = "before any of its processes came" if not ends.records else "without a word of any of its processes"
    if code is not None and code < 0:
        return Cause(None, "crash", f"the processes' launcher was killed by {signal_name(-code)}")
    said = f": {ends.last_words}" if ends.last_words else ""
    ended = "ended" if code is None else f"ended with exit code {code}"
    return Cause(None, "error" if not ends.records else "crash", f"the processes' launcher {ended} {before}{said}")


def _each(ends: Ends, cause: Cause) -> list[RankFailed]:
    exits = {found.rank: found for found in ends.exits}
    ranks = sorted({*ends.records, *exits}, key=lambda rank: (rank != cause.rank, rank))
    told = []
    for rank in ranks[:MOST_TOLD]:
        record, ended = ends.records.get(rank), exits.get(rank)
        failed = RankFailed(
            rank=rank,
            host=one_line(record.host if record is not None else ends.host, HOST_CHARACTERS),
            pid=record.pid if record is not None else 0 if ended is None else ended.pid,
            what=cause.what if rank == cause.rank else _others(record, ended),
            first=rank == cause.rank,
            step=0 if record is None else record.step,
        )
        if ended is not None and ended.code >= 0:
            failed = msgspec.structs.replace(failed, exit_code=ended.code)
        elif ended is not None:
            failed = msgspec.structs.replace(failed, signal=signal_name(-ended.code))
        told.append(failed)
    return told


def _others(record: RankRecord | None, ended: RankExit | None) -> str:
    if record is not None and record.trouble is not None:
        return "it lost its connection to another process" if record.trouble.lost_peer else record.trouble.what
    if record is not None and record.doing == "ended":
        return "it had done its part"
    if ended is not None and ended.code not in (-signal.SIGTERM, -signal.SIGKILL):
        return f"it {_ended(ended.code)}"
    return "it was ended, as no process can go on without the others"


def _ended(code: int) -> str:
    if code < 0:
        return f"was killed by {signal_name(-code)}"
    return f"ended with exit code {code} and told no reason"


def _name(ends: Ends, rank: int) -> str:
    record = ends.records.get(rank)
    return f"rank {rank} on {one_line(record.host if record is not None else ends.host, HOST_CHARACTERS)}"
