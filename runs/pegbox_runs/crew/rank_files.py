"""What each of several processes says of itself while it lives, in files that a light process can read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import msgspec

from pegbox_methods.events import UNDECODABLE, Trouble
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.whole_file import begun_aside

RANKS = "ranks"
"""Folder in a run's folder: a file for each process of the newest worker."""
LAUNCHER = "PEGBOX_LAUNCHER"
"""In the environment of all that one launcher started, itself too: the id of the crew's process, `-`, and when."""
BEAT_SECONDS = 1.0
"""How often a process writes that it lives, from a thread of its own."""

Doing = Literal["starting", "loading", "preparing", "training", "evaluating", "judging", "saving", "paused", "ended"]


class RankTrouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why a process couldn't go on, by its own word."""

    kind: Trouble
    what: str
    where: str
    remedy: str
    doing: str = ""
    """As `WorkerFailed.doing`."""
    lost_peer: bool = False
    """Whether it only lost its connection to another one."""


class RankRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One process, as of `beat`."""

    attempt: int
    """Which worker of the run it belongs to, as `Started.attempt`."""
    rank: int
    host: str
    pid: int
    began: float
    """Seconds since 1970, by that machine's clock, as are the others."""
    beat: float
    """When it last wrote this: it lives, and its threads get their turn."""
    step: int
    """Steps that it has done."""
    doing: Doing
    advanced: float
    """When `step` or `doing` last changed, or a batch of an evaluation was done: it doesn't only live."""
    trouble: RankTrouble | None = None
    """Why it is about to end."""


def rank_file(folder: RunFolder, rank: int) -> Path:
    """Name the file of one process."""
    return folder.path / RANKS / f"{rank}.json"


def write_rank(folder: RunFolder, record: RankRecord) -> None:
    """Write what one process says, whole; nobody reads it behind a power cut, so nothing is forced to the disk.

    Where a full disk takes no new file, the one that is there is written over: its process lives, whatever the disk.
    Raises: OSError.
    """
    place, content = rank_file(folder, record.rank), msgspec.json.encode(record)
    try:
        place.parent.mkdir(mode=0o700, exist_ok=True)
        with begun_aside(place) as file:
            file.write(content)
            file.flush()
            Path(file.name).replace(place)
    except OSError:
        with place.open("r+b") as file:
            file.write(content)
            file.truncate()


def read_ranks(folder: RunFolder, attempt: int) -> dict[int, RankRecord]:
    """Read what the processes of one worker said last, by rank; what isn't whole, or is of another worker, is none."""
    found = {}
    for file in (folder.path / RANKS).glob("*.json"):
        try:
            record = msgspec.json.decode(file.read_bytes(), type=RankRecord)
        except (OSError, *UNDECODABLE):
            continue
        if record.attempt == attempt:
            found[record.rank] = record
    return dict(sorted(found.items()))


def age(record: RankRecord, now: float | None = None) -> float:
    """Give the seconds since a process of this machine last said that it lives."""
    return (time.time() if now is None else now) - record.beat
