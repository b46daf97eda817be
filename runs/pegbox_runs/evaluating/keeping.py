"""Where evaluations are kept: in the run's folder, one file each, whole and private."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pegbox_methods.events import UNDECODABLE
from pegbox_runs.evaluating.evaluated import Evaluated
from pegbox_runs.run_folder import RunFolder, moment_of
from pegbox_runs.tuned import adapter_sha256_in
from pegbox_runs.whole_file import write_whole

EVALUATIONS = "evaluations"


def keep(evaluated: Evaluated, folder: RunFolder, *, path: Path | None = None) -> Path:
    """Write an evaluation into a run's folder, or in the place of one that was kept there.

    Raises: OSError.
    """
    if path is None:
        place = folder.path / EVALUATIONS
        place.mkdir(mode=0o700, exist_ok=True)
        path = place / f"{moment_of(place)}.json"
    write_whole(path, msgspec.json.format(msgspec.json.encode(evaluated), indent=1) + b"\n")
    return path


def evaluations(folder: RunFolder) -> list[Evaluated]:
    """Read a run's evaluations, the newest last; what can't be read is left out."""
    kept = sorted((folder.path / EVALUATIONS).glob("*.json"), key=lambda path: path.stem)
    return [found for path in kept if (found := read_evaluation(path)) is not None]


@dataclass(frozen=True)
class Telling:
    """Which of a run's evaluations are told of: those of the weights that it has now."""

    held_out: Evaluated | None = None
    """On the run's own held-out rows: the newest on all of them, else the newest on some. This one has the word."""
    of_file: Evaluated | None = None
    """The newest on the rows of a file, which may be any rows: told as such, and never for the run as a whole."""
    only_others: bool = False
    """Whether there are evaluations, and all are of other weights."""


def telling(folder: RunFolder) -> Telling:
    """Choose them."""
    found = evaluations(folder)
    try:
        now = adapter_sha256_in(folder.adapter) if found else ""
    except OSError:
        now = ""
    these = [one for one in found if one.adapter_sha256 == now]
    held_out = [one for one in these if one.rows.source == "held-out"]
    whole = [one for one in held_out if one.rows.rows >= one.rows.of]
    of_file = [one for one in these if one.rows.source == "file"]
    return Telling(_last(whole or held_out), _last(of_file), bool(found) and not these)


def _last(found: list[Evaluated]) -> Evaluated | None:
    return found[-1] if found else None


def read_evaluation(path: Path) -> Evaluated | None:
    """Read a record; None: there is none, or none that is whole."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Evaluated)
    except (OSError, *UNDECODABLE):
        return None


def now() -> str:
    """Give this moment as records have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
