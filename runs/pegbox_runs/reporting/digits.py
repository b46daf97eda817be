"""Figures of a report, as long as they are known: where there is a range, its width decides the digits."""

from __future__ import annotations

import math
from collections.abc import Callable

from pegbox_runs.arena.results import Interval
from pegbox_runs.figures import count, duration, gib, size

LOSS_DECIMALS = 4
"""Of a loss that was measured once."""
MOST_DECIMALS = 6
NO_FIGURE = "–"
NOT_FINITE = "not finite"


def decimals_for(interval: Interval, unknown: int = LOSS_DECIMALS) -> int:
    """Give how many decimals show two digits of the half-width of a range; below 0: whole tens, hundreds..."""
    if interval.low is None or interval.high is None:
        return unknown
    half = (interval.high - interval.low) / 2
    if not math.isfinite(half) or half <= 0:
        return unknown
    return min(MOST_DECIMALS, 1 - math.floor(math.log10(half)))


def number(value: float, decimals: int, *, sign: bool = False) -> str:
    """Write a number to so many decimals, with a minus that is one, and thousands apart."""
    if not math.isfinite(value):
        return NOT_FINITE
    rounded = round(value, decimals) + 0.0  # no minus before zero
    return f"{rounded:{'+' if sign else ''},.{max(0, decimals)}f}".replace("-", "−")


def loss(value: float | None) -> str:
    """Write a loss that has no range."""
    return NO_FIGURE if value is None else number(value, LOSS_DECIMALS)


def plain(interval: Interval | None, *, sign: bool = False) -> tuple[str, str]:
    """Write a loss, or a difference of two: the value, and its range; the latter is empty where there is none."""
    return _parts(interval, lambda value, decimals: number(value, decimals, sign=sign), LOSS_DECIMALS)


def share(interval: Interval | None, *, sign: bool = False) -> tuple[str, str]:
    """Write a score from 0 to 1, or a difference of two, in percent."""
    percent = interval and Interval(
        value=100 * interval.value,
        low=None if interval.low is None else 100 * interval.low,
        high=None if interval.high is None else 100 * interval.high,
    )
    written = _parts(percent, lambda value, decimals: number(value, min(2, decimals), sign=sign), 1)
    return _with_unit(written, " %")


def rate(interval: Interval | None) -> tuple[str, str]:
    """Write a number of tokens a second."""
    return _parts(interval, number, 0 if interval and abs(interval.value) >= 100 else 1)


def seconds(interval: Interval | None) -> tuple[str, str]:
    """Write a time: seconds to the digits that are known, longer ones as minutes and hours."""
    if interval is None or not abs(interval.value) < 60:
        return _parts(interval, lambda value, _: duration(value), 0)
    few = 2 if interval.value < 10 else 1
    return _with_unit(_parts(interval, lambda value, decimals: number(value, min(2, decimals)), few), " s")


def seconds_once(value: float) -> str:
    """Write a time that was measured once."""
    return seconds(Interval(value=value))[0]


def memory(number: int | None) -> str:
    """Write peak bytes, in GiB to three digits where it is some."""
    if number is not None and 0.1 <= number / 2**30 < 9.995:
        return gib(number)
    return bytes_(number)


def memory_at_most(number: int | None) -> str:
    """Write peak bytes of a process that carried other trainings too: an upper bound."""
    return NO_FIGURE if number is None else f"≤ {memory(number)}"


def bytes_(number: int | None) -> str:
    """Write bytes in the unit that fits."""
    return NO_FIGURE if number is None else size(number)


def weights(number: int | None) -> str:
    """Write a count of weights."""
    return NO_FIGURE if number is None else count(number)


def few_digits(value: float) -> str:
    """Write what spans orders of magnitude, such as a learning rate, to three digits: 0.0002, 6e-5."""
    return f"{value:.3g}".replace("e-0", "e-")


def together(parts: tuple[str, str]) -> str:
    """Write a value and its range in one."""
    value, range_ = parts
    return f"{value} ({range_})" if range_ else value


def _parts(interval: Interval | None, write: Callable[[float, int], str], unknown: int) -> tuple[str, str]:
    if interval is None:
        return NO_FIGURE, ""
    decimals = decimals_for(interval, unknown)
    value = write(interval.value, decimals)
    if interval.low is None or interval.high is None:
        return value, ""
    low, high = write(interval.low, decimals), write(interval.high, decimals)
    return value, "" if low == value == high else f"{low} to {high}"


def _with_unit(parts: tuple[str, str], unit: str) -> tuple[str, str]:
    value, range_ = parts
    if value in {NO_FIGURE, NOT_FINITE}:
        return parts
    return value + unit, range_ and range_ + unit
