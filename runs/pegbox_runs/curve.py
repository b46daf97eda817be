"""Series of numbers over steps that grow at their end, for the price of what is added."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from struct import error, pack
from typing import cast

from pegbox_runs.extremes import Extremes


class _Points:
    """What curves of one history share. It only ever grows at its end."""

    __slots__ = ("columns", "extremes", "steps")

    def __init__(self, steps: array[int], columns: list[array[float]], extremes: list[Extremes]) -> None:
        self.steps, self.columns, self.extremes = steps, columns, extremes

    def copied(self, length: int) -> _Points:
        extremes = [known.copied(length) for known in self.extremes]
        return _Points(self.steps[:length], [column[:length] for column in self.columns], extremes)


@cache
def _no_points(width: int) -> _Points:
    """Make those of all curves that are empty: of a thousand runs that wait, nearly all are."""
    return _Points(array("q"), [array("d") for _ in range(width)], [Extremes() for _ in range(width)])


class Curves:
    """Several series over the same steps. Immutable to its owner: `after` gives new ones and leaves these as they were.

    The newest share their arrays and differ in how much of them is theirs; only what is extended a second time copies.
    So a fold over a million steps stays linear. Steps ascend.
    """

    __slots__ = ("_length", "_points")

    def __init__(self, width: int = 1) -> None:
        """Make empty ones, so many beside each other."""
        self._points = _no_points(width)
        self._length = 0

    def after(self, steps: Sequence[int], *columns: Sequence[float]) -> Curves:
        """Give them with more points at their ends; as many values in each column as steps."""
        # Packed first: several times as fast as an array's own `extend`, and what doesn't fit has changed nothing.
        form = f"{len(steps)}d"
        packed = [pack(f"{len(steps)}q", *steps), *[pack(form, *more) for more in columns]]
        points = self._points
        if not self._length or self._length != len(points.steps):
            points = points.copied(self._length)
        points.steps.frombytes(packed[0])
        for column, more in zip(points.columns, packed[1:], strict=True):
            column.frombytes(more)
        return self._like(points, len(points.steps))

    def after_told(self, steps: Sequence[int], values: Sequence[float | None]) -> Curves:
        """Give a single one with more points, without those whose value is None."""
        try:
            return self.after(steps, cast(Sequence[float], values))
        except error:  # looking for None first would cost more than all else here
            told = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
            return self.after([step for step, _ in told], [value for _, value in told])

    def until(self, step: int) -> Curves:
        """Give them without the points behind a step, for a run that goes back to it."""
        return self._like(self._points, bisect_right(self._points.steps, step, hi=self._length))

    def __getitem__(self, column: int) -> Curve:
        return Curve(self, column)

    def __len__(self) -> int:
        return self._length

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Curves):
            return NotImplemented
        mine, theirs = self._points, other._points
        width = len(mine.columns)
        return (len(self), width) == (len(other), len(theirs.columns)) and (
            mine.steps[: len(self)] == theirs.steps[: len(self)]
            and all(mine.columns[n][: len(self)] == theirs.columns[n][: len(self)] for n in range(width))
        )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def _like(cls, points: _Points, length: int) -> Curves:
        made = cls.__new__(cls)
        made._points, made._length = points, length
        return made


class Curve:
    """One series. Immutable, as the curves that it is one of."""

    __slots__ = ("_column", "_curves")

    def __init__(self, curves: Curves | None = None, column: int = 0) -> None:
        """Take one out of several; without any, an empty one."""
        self._curves = Curves() if curves is None else curves
        self._column = column

    def after(self, steps: Sequence[int], values: Sequence[float]) -> Curve:
        """Give a curve that stands alone with more points at its end; as many steps as values."""
        return Curve(self._curves.after(steps, values))

    def until(self, step: int) -> Curve:
        """Give it without the points behind a step."""
        return Curve(self._curves.until(step), self._column)

    def between(self, first_step: int, last_step: int) -> list[tuple[int, float]]:
        """Copy the points from one step to another, both included, without touching the rest."""
        begin, end = self._places(first_step, last_step)
        points = self._curves._points
        return list(zip(points.steps[begin:end], points.columns[self._column][begin:end], strict=True))

    def last(self, count: int) -> list[float]:
        """Copy the newest values, at most `count`, without touching the rest."""
        end = len(self)
        return list(self._curves._points.columns[self._column][max(0, end - count) : end])

    def nearest(self, step: int) -> tuple[int, float] | None:
        """Give the point that lies nearest to a step, the earlier one of two; None: there is none."""
        points, end = self._curves._points, len(self)
        place = bisect_left(points.steps, step, hi=end)
        near = [(points.steps[n], points.columns[self._column][n]) for n in (place - 1, place) if 0 <= n < end]
        return min(near, key=lambda point: abs(point[0] - step), default=None)

    def extremes(self, first_step: int, last_step: int, columns: int) -> list[tuple[float, float] | None]:
        """Give the lowest and the highest value in each of some columns of equal width, from one step to another.

        None: no point lies in that column. No peak is lost, however narrow the columns are. Costs about 10 us a column,
        whatever lies in it, once it was asked for the first time: that looks at each point once.
        """
        return [
            self._curves._points.extremes[self._column].within(self._curves._points.columns[self._column], begin, end)
            for begin, end in self._columns(first_step, last_step, columns)
        ]

    def means(self, first_step: int, last_step: int, columns: int, most: int = 64) -> list[float | None]:
        """Give the mean in each of some columns, of at most so many values of it at even distances; None: no point."""
        values = self._curves._points.columns[self._column]
        spans = self._columns(first_step, last_step, columns)
        return [_mean(values[begin : end : -(-(end - begin) // most) or 1]) for begin, end in spans]

    def _columns(self, first_step: int, last_step: int, columns: int) -> Iterator[tuple[int, int]]:
        """Give the places of each column's points: the first, and the one behind the last."""
        steps, wide = self._curves._points.steps, last_step - first_step + 1
        begin, stop = self._places(first_step, last_step)
        for column in range(1, columns + 1):
            # The first step that is behind this column.
            behind = first_step + -(-wide * column // columns)
            end = bisect_left(steps, behind, lo=begin, hi=stop) if column < columns else stop
            yield begin, end
            begin = end

    def _places(self, first_step: int, last_step: int) -> tuple[int, int]:
        steps = self._curves._points.steps
        begin = bisect_left(steps, first_step, hi=len(self))
        return begin, bisect_right(steps, last_step, lo=begin, hi=len(self))

    def __len__(self) -> int:
        return len(self._curves)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self.steps, self.values, strict=True)

    @property
    def steps(self) -> array[int]:
        """Copy of the steps."""
        return self._curves._points.steps[: len(self)]

    @property
    def values(self) -> array[float]:
        """Copy of the values."""
        return self._curves._points.columns[self._column][: len(self)]

    @property
    def ends(self) -> tuple[int, int] | None:
        """The first and the last step; None: there are no points."""
        steps = self._curves._points.steps
        return (steps[0], steps[len(self) - 1]) if len(self) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Curve) and self.steps == other.steps and self.values == other.values

    __hash__ = None  # type: ignore[assignment]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
