"""The next value to the left and to the right: by sensible steps, within the range."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor, log10
from typing import Any, Literal

from pegbox_tui.wizard.settings.fields import FormField

Direction = Literal[-1, 1]

DOUBLED = frozenset(
    {"rank", "alpha", "micro_batch", "accumulation", "processes", "length", "block_size", "sample_tokens"}
)
"""Sizes that are powers of two in practice: kernels and batches divide by them."""
ONE_BY_ONE = frozenset(
    {"training", "split", "samples", "checkpoints", "restarts", "n_butterfly_factor", "topk", "decompose_factor"}
)
"""Small counts, and seeds."""
EPOCHS = (0.25, 0.5, 1.0, 1.5, *map(float, range(2, 11)), 15.0, 20.0, 30.0, 50.0, 100.0)
SHARE = 0.01
"""Of shares below a tenth; above it, five times that."""
TINY = 1e-9
"""What binary fractions are off by."""
WHOLE_LIST = 20
"""A range of at most that many whole numbers is walked one by one."""


def stepped(field: FormField, value: Any, direction: Direction) -> Any:
    """Give the next value in a direction; the same one where there is none.

    A value between two steps goes to the nearer end of the step it is in. An open one begins at the least.
    """
    if field.kind == "switch":
        return not value
    if field.kind in ("choice", "names"):
        return _next_word(field, value, direction)
    if field.kind not in ("whole", "number"):
        return value
    if value is None:
        return _first(field) if direction > 0 else None
    following = _number(field, float(value), direction)
    made: int | float = round(following) if field.kind == "whole" else float(f"{following:.6g}")
    bounded = _within(field, made)
    if field.optional and direction < 0 and (bounded == value or not field.accepts(bounded)):
        return None
    return bounded if field.accepts(bounded) else value


def _next_word(field: FormField, value: Any, direction: Direction) -> Any:
    words = list(field.choices)
    if not words:
        return value
    if value not in words:
        return words[0 if direction > 0 else -1]
    return words[(words.index(value) + direction) % len(words)]


def _first(field: FormField) -> Any:
    if field.kind == "number":
        return max(1e-4, field.minimum or 0.0)
    return 100 if field.unit == "steps" else max(1, round(field.minimum or 0))


def _number(field: FormField, value: float, direction: Direction) -> float:
    name = field.key.rpartition(".")[2]
    if field.key == "training.epochs":
        return _along(EPOCHS, value, direction)
    if name in ONE_BY_ONE or (field.kind == "whole" and _span(field) <= WHOLE_LIST):
        return value + direction
    if name in DOUBLED:
        return _doubled(value, direction)
    if field.maximum is not None and field.maximum <= 1 and field.kind == "number":
        return _share(value, direction)
    if value <= 0:
        return value + direction
    return _one_two_five(value, direction)


def _span(field: FormField) -> float:
    if field.minimum is None or field.maximum is None:
        return float("inf")
    return field.maximum - field.minimum


def _along(steps: tuple[float, ...], value: float, direction: Direction) -> float:
    ahead = [step for step in steps if (step > value if direction > 0 else step < value)]
    return (min if direction > 0 else max)(ahead, default=value)


def _doubled(value: float, direction: Direction) -> float:
    if value < 1:
        return 1.0 if direction > 0 else 0.0
    power = 1 << (int(value).bit_length() - 1)
    if direction > 0:
        return power * 2
    return power if power < value else power // 2


def _share(value: float, direction: Direction) -> float:
    step = SHARE if value + direction * TINY < 10 * SHARE else 5 * SHARE
    if direction > 0:
        return (floor(value / step + TINY) + 1) * step
    return (ceil(value / step - TINY) - 1) * step


def _one_two_five(value: float, direction: Direction) -> float:
    ladder = tuple(_ladder(floor(log10(value))))
    near = [step for step in ladder if (step > value * (1 + TINY) if direction > 0 else step < value * (1 - TINY))]
    return (min if direction > 0 else max)(near, default=value)


def _ladder(power: int) -> Iterator[float]:
    for exponent in (power - 1, power, power + 1):
        yield from (lead * 10.0**exponent for lead in (1, 2, 5))


def _within(field: FormField, value: int | float) -> int | float:
    if field.minimum is not None and value < field.minimum:
        return round(field.minimum) if field.kind == "whole" else field.minimum
    if field.maximum is not None and value > field.maximum:
        return round(field.maximum) if field.kind == "whole" else field.maximum
    return value
