"""Curves with fewer points that look the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Keep at most so many points: both ends, and of each stretch between the lowest and the highest.

    No peak is lost. `most` is 4 at least. A point whose value is no finite number is left out.
    """
    finite = [(step, value) for step, value in points if math.isfinite(value)]
    if len(finite) <= most:
        return finite
    inner, stretches = finite[1:-1], (most - 2) // 2
    kept = [finite[0]]
    for stretch in range(stretches):
        part = inner[len(inner) * stretch // stretches : len(inner) * (stretch + 1) // stretches]
        lowest, highest = (pick(range(len(part)), key=lambda at: part[at][1]) for pick in (min, max))
        kept += [part[at] for at in sorted({lowest, highest})]
    return [*kept, finite[-1]]


def mean_curve(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """Average curves at the steps that all of them have."""
    if not curves:
        return []
    values = [dict(curve) for curve in curves]
    shared = [step for step in values[0] if all(step in other for other in values)]
    return [(step, sum(one[step] for one in values) / len(values)) for step in sorted(shared)]
