"""What is agreed between the kit and the two processes that it starts, all of it files in one folder."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pegbox_methods.recipe import Recipe

RANKS = 2


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One method's turn."""

    recipe: Recipe
    stop_after: int
    """Steps."""
    find_unused: bool
    """Whether DDP must look for weights that a step leaves out."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """order.json: all turns, and for whom."""

    trials: tuple[Trial, ...]
    asker: int
    """Process id; when it is gone, nobody waits any more."""


class PairFolder:
    """The names of what lies in the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def order(self) -> Path:
        """What is to be done."""
        return self.path / "order.json"

    @property
    def log(self) -> Path:
        """What the launcher and both processes printed."""
        return self.path / "log.txt"

    def run(self, turn: int, rank: int) -> Path:
        """The run's folder; it is made when the turn begins."""
        return self.path / f"{turn}.{rank}"

    def weights(self, turn: int, rank: int) -> Path:
        """The trained weights at the end; appears whole."""
        return self.path / f"{turn}.{rank}.safetensors"

    def fault(self, turn: int, rank: int) -> Path:
        """Why there are none."""
        return self.path / f"{turn}.{rank}.txt"
