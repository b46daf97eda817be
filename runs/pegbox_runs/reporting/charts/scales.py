"""Where a value lies on an axis, and which round values are written beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pegbox_runs.reporting.digits import few_digits

MOST = 1e30
"""A value beyond is drawn nowhere: differences of such values stop being numbers."""
_PAD = 0.05
_FAR = 8
"""A value is far from the others if it lies so many times as high above the lowest as they do."""
_LEAST_SPREAD = 0.01
"""Of a value: what lies nearer together counts as so far apart."""
_ROUND = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def part(self, value: float) -> float:
        """Give where a value lies: 0 is the low end, 1 the high one. It may lie outside."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def holds(self, value: float) -> bool:
        """Tell whether a value lies on the axis."""
        return drawable(value) and self.low <= value <= self.high

    def label(self, tick: float) -> str:
        """Write a tick's value, with as many digits as tell it from its neighbours."""
        if self.logarithmic:
            return few_digits(tick)
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else abs(tick) or 1.0
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        decimals += not math.isclose(round(step, decimals), step, rel_tol=1e-6)  # 0.25 needs one more than 0.2
        return f"{tick + 0.0:,.{decimals}f}".replace("-", "−")


def drawable(value: float | None) -> bool:
    """Tell whether a value can be drawn at all."""
    return value is not None and math.isfinite(value) and abs(value) < MOST


def linear(values: Iterable[float], ticks: int = 5, *, pad: bool = True) -> Scale:
    """Make an axis on which all these values lie, a little apart from its ends unless `pad` is off."""
    there = [value for value in values if drawable(value)] or [0.0, 1.0]
    low, high = min(there), max(there)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        wide = abs(low) * _PAD or 0.5
        low, high = low - wide, high + wide
    elif pad:
        wide = (high - low) * _PAD
        low, high = low - wide, high + wide
    step = _step((high - low) / max(1, ticks))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Scale(low, high, tuple(place * step for place in range(first, last + 1)))


def logarithmic(values: Sequence[float], ticks: Sequence[float] | None = None) -> Scale:
    """Make an axis of orders of magnitude for values above 0; ticks at 1, 2 and 5 unless they are given."""
    low, high = min(values) / 1.25, max(values) * 1.25
    if ticks is None:
        orders = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [digit * 10.0**order for order in orders for digit in (1, 2, 5)]
        inside = [tick for tick in ticks if low <= tick <= high]
        ticks = [tick for tick in inside if f"{tick:e}"[0] == "1"] if len(inside) > 6 else inside
    return Scale(low, high, tuple(tick for tick in ticks if low <= tick <= high), logarithmic=True)


def without_far_ones(values: Iterable[float]) -> list[float]:
    """Leave out high values beside which all others would be one dot: a third of them at most. Ascending."""
    kept = sorted(value for value in values if drawable(value))
    for count in range(max(2, -(-2 * len(kept) // 3)), len(kept)):
        near = max(kept[count - 1] - kept[0], _LEAST_SPREAD * abs(kept[0]))
        if kept[count] - kept[0] > _FAR * near:
            return kept[:count]
    return kept


def _step(wide: float) -> float:
    order = 10.0 ** math.floor(math.log10(wide))
    return next(digit * order for digit in _ROUND if digit * order >= wide * (1 - 1e-9))
