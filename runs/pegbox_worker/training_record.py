"""training.json: what a checkpoint knows beside its tensors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

TRAINING = "training.json"


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation that was done."""

    step: int
    loss: float


@dataclass(kw_only=True)
class TrainingRecord:
    """One moment between two steps."""

    step: int
    """Steps that were done."""
    step_rows: int
    """Rows that a step takes."""
    optimizer_kind: str
    """Whose state it is."""
    optimizer: Any
    """Its state, as `state_tree` writes it; the tensors lie beside it."""
    schedule: dict[str, Any]
    scaler: Any
    """The state of float16's scaler; None: the run isn't in float16."""
    chance: Any
    best: Evaluated | None
    """The lowest evaluation whose checkpoint was written, this one perhaps."""
    evaluated: Evaluated | None
    """The newest."""
    evaluation_due: bool
    """An evaluation was due at this step, and didn't come to its end."""

    def write(self, folder: Path) -> None:
        """Write it down. Python's own writer: every float comes back as it was.

        Raises: OSError.
        """
        fields = self.__dict__ | {
            name: None if one is None else msgspec.structs.asdict(one)
            for name, one in (("best", self.best), ("evaluated", self.evaluated))
        }
        (folder / TRAINING).write_text(json.dumps(fields, allow_nan=False), encoding="utf-8")


def read_record(folder: Path) -> TrainingRecord:
    """Read a checkpoint's.

    Raises: OSError, ValueError, TypeError: it isn't there, or is something else.
    """
    fields = json.loads((folder / TRAINING).read_bytes())
    for name in ("best", "evaluated"):
        fields[name] = None if fields[name] is None else Evaluated(**fields[name])
    return TrainingRecord(**fields)
