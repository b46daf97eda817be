"""evaluated.json: an evaluation that came to its end only after its step's checkpoint had been written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from pegbox_runs.checkpoints import Progress
from pegbox_worker.checkpoint_shelf import sync_file, sync_folder
from pegbox_worker.training_record import Evaluated, TrainingRecord

EVALUATED = "evaluated.json"
"""Beside the files that the manifest names, which stay as they are: a checkpoint is never half rewritten."""


class _Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """The evaluation, and what tells that it is whole."""

    evaluated: Evaluated
    seal: str


def write_late(folder: Path, evaluated: Evaluated) -> None:
    """Lay it beside a checkpoint's files, at one go.

    Raises: OSError.
    """
    aside, target = folder / f".{EVALUATED}.part", folder / EVALUATED
    aside.write_bytes(msgspec.json.encode(_Sealed(evaluated=evaluated, seal=_seal(evaluated))))
    sync_file(aside)
    aside.replace(target)
    sync_folder(folder)


def with_late(record: TrainingRecord, folder: Path) -> TrainingRecord:
    """Count an evaluation that was done behind the checkpoint, if there is one; one that is torn is done again."""
    late = _read(folder, record.step)
    if late is None:
        return record
    record.evaluated, record.evaluation_due = late, False
    if record.best is None or late.loss < record.best.loss:
        record.best = late
    return record


def progress_with_late(progress: Progress, folder: Path) -> Progress:
    """Count it in a run's figures too."""
    late = _read(folder, progress.step)
    if late is None or (progress.best_loss is not None and progress.best_loss <= late.loss):
        return progress
    return msgspec.structs.replace(progress, best_loss=late.loss, best_step=late.step)


def _read(folder: Path, step: int) -> Evaluated | None:
    try:
        found = msgspec.json.decode((folder / EVALUATED).read_bytes(), type=_Sealed)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    whole = found.seal == _seal(found.evaluated) and found.evaluated.step == step
    return found.evaluated if whole else None


def _seal(evaluated: Evaluated) -> str:
    return hashlib.sha256(msgspec.json.encode(evaluated)).hexdigest()
