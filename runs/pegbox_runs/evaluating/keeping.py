"""Where evaluations are kept: in the run's folder, one file each, whole and private."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from pegbox_methods.events import UNDECODABLE
from pegbox_runs.evaluating.evaluated import Evaluated, RowsFrom
from pegbox_runs.run_folder import RunFolder, moment_of
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


def latest_evaluation(folder: RunFolder, *, rows: RowsFrom | None = None) -> Evaluated | None:
    """Read a run's newest evaluation; None: it has none. `rows`: the newest on such rows."""
    found = [one for one in evaluations(folder) if rows in (None, one.rows.source)]
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
