"""One thing that `pegbox doctor` says."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["green", "yellow", "red"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something found. Green: as it should be. Yellow: works, but worth a look. Red: stands in the way of training."""

    level: Level
    about: str
    """A short stable word for programs: `torch-build`, `gpu-memory`, `disk`..."""
    text: str
    command: str | None = None
    """What mends it, where one command does."""
