"""What a person takes from the list of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pegbox_runs.run_folder import RunFolder


@dataclass(frozen=True)
class RunChoice:
    """A run, and what shall come of it: its dashboard, or a draft with its settings."""

    kind: Literal["open", "repeat"]
    folder: RunFolder
