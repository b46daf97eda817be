"""Entries that were put aside to be tried again: their logs stay for people, and their time stays spent."""

from __future__ import annotations

import secrets
import shutil

import msgspec

from pegbox_methods.events import UNDECODABLE
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.entries import Outcome
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.whole_file import write_whole

FAILED = "failed"
"""The folder of such entries."""
SPENT = "spent.json"


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """spent.json of an entry that was put aside."""

    wall_seconds: float
    """As its outcome had it."""


def put_aside(one: Outcome, folder: ComparisonFolder) -> None:
    """Take an entry's folder away at once and whole: half of one could be taken for its beginning.

    Its log stays for people, in the comparison's folder `failed`, beside what it took; its checkpoints go.
    Raises: Refusal.
    """
    place = folder.entry(one.entry.id)
    failed = folder.path / FAILED
    aside = failed / f"{place.id}-{secrets.token_hex(2)}"
    try:
        failed.mkdir(mode=0o700, exist_ok=True)
        write_whole(place.path / SPENT, msgspec.json.encode(Spent(wall_seconds=one.wall_seconds)) + b"\n")
        place.path.rename(aside)
    except FileNotFoundError:
        return  # somebody else did it
    except OSError as error:
        raise Refusal(
            f"{place.path}: can't be put aside: {error.strerror or error}. Make the comparison's folder writable."
        ) from error
    shutil.rmtree(RunFolder(aside).checkpoints, ignore_errors=True)


def aside_seconds(folder: ComparisonFolder) -> float:
    """Sum what entries took that were put aside; one whose record can't be read counts for nothing."""
    total = 0.0
    for record in (folder.path / FAILED).glob(f"*/{SPENT}"):
        try:
            total += msgspec.json.decode(record.read_bytes(), type=Spent).wall_seconds
        except (OSError, *UNDECODABLE):
            continue
    return total
