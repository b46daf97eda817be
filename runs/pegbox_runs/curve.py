"""A series of numbers over steps that grows at its end, for the price of what is added."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator


class Curve:
    """Immutable to its owner: `after` gives a new curve and leaves this one as it was.

    The newest curves share one array and differ in how much of it is theirs; only a curve that is
    extended a second time copies. So a fold over a million steps stays linear.
    """

    __slots__ = ("_length", "_steps", "_values")

    def __init__(self) -> None:
        self._steps = array("q")
        self._values = array("d")
        self._length = 0

    def after(self, steps: Iterable[int], values: Iterable[float]) -> Curve:
        """Give the curve with more points at its end; as many steps as values."""
        grown = Curve.__new__(Curve)
        if self._length == len(self._steps):
            grown._steps, grown._values = self._steps, self._values
        else:
            grown._steps, grown._values = self._steps[: self._length], self._values[: self._length]
        grown._steps.extend(steps)
        grown._values.extend(values)
        grown._length = len(grown._steps)
        return grown

    def until(self, step: int) -> Curve:
        """Give the curve without the points behind a step, for a run that goes back to it."""
        shorter = Curve.__new__(Curve)
        shorter._steps, shorter._values = self._steps, self._values
        shorter._length = bisect_right(self._steps, step, hi=self._length)
        return shorter

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self.steps, self.values, strict=True)

    @property
    def steps(self) -> array[int]:
        """Copy of the steps."""
        return self._steps[: self._length]

    @property
    def values(self) -> array[float]:
        """Copy of the values."""
        return self._values[: self._length]

    def last(self, count: int) -> list[float]:
        """Copy the newest values, at most `count`, without touching the rest."""
        return list(self._values[max(0, self._length - count) : self._length])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Curve) and self.steps == other.steps and self.values == other.values

    __hash__ = None  # type: ignore[assignment]
