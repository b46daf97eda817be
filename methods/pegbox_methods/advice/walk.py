"""How far a run goes: its optimizer steps, and how often it looks at the held-out rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

LOOKS = 4
"""Evaluations on the way of a run whose recipe names no distance between them; one more comes before its first step."""


@dataclass(frozen=True)
class Walk:
    """Counts of a whole run."""

    steps: int
    """Optimizer steps."""
    every: int
    """Steps between two evaluations."""
    seen: float
    """Rows that are trained on, each as often as it is seen."""

    @property
    def looks(self) -> int:
        """Count the evaluations: before the first step, at each distance, and after the last step."""
        return 1 + ceil(self.steps / self.every)


def walk_through(
    rows: int, batch: int, epochs: float, *, max_steps: int | None = None, every: int | None = None
) -> Walk:
    """Count for rows, `batch` of which make a step; a last, partial batch of an epoch makes a step too."""
    steps = ceil(epochs * ceil(rows / batch))
    if max_steps is not None:
        steps = min(steps, max_steps)
    return Walk(steps=steps, every=every or ceil(steps / LOOKS), seen=min(steps * batch, epochs * rows))
