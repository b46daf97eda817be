"""From values to places on a chart, with round numbers at its edges."""

from __future__ import annotations

import math
from dataclasses import dataclass

ROUND = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Where an axis of steps may end, times a power of ten: at least two thirds of it are used, and it seldom changes."""
TICKS = (1.0, 2.0, 2.5, 5.0, 10.0)
LABEL = 7
"""Characters of a value at most."""
HUGE = 1e300
"""Values from there on are drawn at the edge: their differences aren't numbers any more."""
TINY = 1e-280
"""Values below it count as 0: their parts aren't numbers any more."""


@dataclass(frozen=True)
class Scale:
    """One axis. `low < high`; both above 0 where it is logarithmic."""

    low: float
    high: float
    log: bool = False
    tick: float = 0.0
    """Distance of the values that are written beside a plain axis."""

    def share(self, value: float) -> float:
        """Give a value's place from 0 at the low end to 1 at the high one; what lies outside is put at the edge."""
        if self.log:
            if value <= self.low:
                return 0.0
            place = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            place = (value - self.low) / (self.high - self.low)
        return min(max(place, 0.0), 1.0)


def round_scale(low: float, high: float, *, log: bool = False, ticks: int = 4) -> Scale:
    """Make an axis around some values whose ends are round, so that it stays when a value moves a little.

    Logarithmic only where all of it lies above 0.
    """
    if log and low > 0:
        if high <= low * 1.001:
            low, high = low / 1.1, high * 1.1
        return Scale(_rounded(low, down=True), _rounded(high, down=False), log=True)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        margin = abs(high) * 0.1 or 1.0
        low, high = low - margin, high + margin
    size = tick_size(high - low, ticks)
    return Scale(math.floor(low / size + 1e-9) * size, math.ceil(high / size - 1e-9) * size, tick=size)


def tick_size(span: float, ticks: int) -> float:
    """Give a round distance of which about so many fit into a span."""
    rough = span / max(ticks, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    return next((unit for unit in TICKS if unit * power >= rough * 0.999), 10.0) * power


def last_step(steps: int) -> int:
    """Give where an axis of steps ends that holds so many."""
    if steps <= 10:
        return 10
    power = 10.0 ** math.floor(math.log10(steps))
    return next(math.ceil(unit * power) for unit in ROUND if unit * power >= steps)


def brief(value: float) -> str:
    """Write a value in at most 7 characters."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e5 or size < 1e-3:
        short = _exponent(f"{value:.1e}")
        return short if len(short) <= LABEL else _exponent(f"{value:.0e}")
    return f"{value:.4g}"


def _exponent(written: str) -> str:
    mantissa, exponent = written.split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def _rounded(value: float, *, down: bool) -> float:
    """Give the nearest 1, 2 or 5 times a power of ten on one side."""
    power = 10.0 ** math.floor(math.log10(value))
    units = (1.0, 2.0, 5.0, 10.0)
    if down:
        return max(unit for unit in units if unit * power <= value * 1.000001) * power
    return min(unit for unit in units if unit * power >= value * 0.999999) * power
