"""How far chance may have moved a figure: other rows might have been held out, and other seeds drawn."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from pegbox_runs.arena.results import Interval

Floats = npt.NDArray[np.float64]

LEVEL = 0.05
"""What a range leaves out, both sides together."""
DRAWS = 2000
"""How often the rows are drawn anew, with replacement."""
LEAST_ROWS = 2
LEAST_SEEDS = 3
"""From here on the chance of the seeds is measured; with fewer it is taken as at least what is assumed."""
NEARLY_NORMAL = 500
"""Degrees of freedom from which Student's t is the normal distribution to three digits."""
_PORTION = 2**17
"""Numbers that are held at once while rows are drawn: 1 MiB, a few times over. The same is drawn in any portions."""


@dataclass(frozen=True)
class Estimate:
    """A mean over rows and seeds, or a difference of two, with what chance may have done to it."""

    value: float
    down: float
    """How far below the value the truth may be for the rows' sake, at 95 %; infinite where one row can't tell."""
    up: float
    """The same above it."""
    rows: float
    """How many rows of equal weight would say as much: fewer than there are where a few hold most of the tokens."""
    seeds_error: float
    """Standard error for the seeds' sake."""
    seeds_freedom: int | None
    """Degrees of freedom of that error; None: it is assumed, and taken for known."""

    def reach(self, level: float = LEVEL) -> tuple[float, float]:
        """Give how far below and above the value the truth may be, at a confidence of 1 - level.

        The two chances are put together as the root of the sum of squares, each at its own t: such a range covers at
        least as often as it says.
        Source: Banerjee 1960, "Approximate confidence interval for linear functions of means of k populations when the
        population variances are not equal", Sankhya 22.
        """
        by_rows = t_quantile(level, self.rows_freedom) / t_quantile(LEVEL, self.rows_freedom)
        by_seeds = self.seeds_reach(level)
        return math.hypot(self.down * by_rows, by_seeds), math.hypot(self.up * by_rows, by_seeds)

    def seeds_reach(self, level: float = LEVEL) -> float:
        """Give the seeds' part of it, the same to both sides."""
        return t_quantile(level, self.seeds_freedom) * self.seeds_error if self.seeds_error else 0.0

    @property
    def rows_freedom(self) -> int:
        """Degrees of freedom that the rows leave."""
        return max(1, round(self.rows) - 1)

    @property
    def interval(self) -> Interval:
        """The value with its range; without one where a single row can't tell."""
        down, up = self.reach()
        if not (math.isfinite(down) and math.isfinite(up)):
            return Interval(value=self.value)
        return Interval(value=self.value, low=self.value - down, high=self.value + up)

    def is_beyond_chance(self, level: float = LEVEL) -> bool:
        """Tell whether the value differs from zero by more than chance."""
        down, up = self.reach(level)
        return self.value > down or self.value < -up


class SameRows:
    """Sums over the same rows for several series, with the same rows drawn anew for all of them.

    A series is an array (seeds, rows); its figure is the mean over the seeds of its sum divided by the weights' sum.
    So two series are compared row by row: what makes a row hard for both cancels out.
    """

    def __init__(
        self,
        weights: Floats,
        series: Mapping[Any, Floats] | Iterable[tuple[Hashable, Floats]],
        seeds: Sequence[int],
    ) -> None:
        """Draw. `weights`: the tokens of each row; `series`: each is looked at once, so they needn't be held together;
        `seeds`: what the draws hang on, and nothing else does.
        """
        total = max(1.0, float(weights.sum()))
        squares = float(np.square(weights).sum())
        self._rows = len(weights)
        self._equal_rows = total**2 / squares if squares else 0.0
        self._by_seed: dict[Hashable, Floats] = {}
        columns: list[Floats] = []
        for key, values in series.items() if isinstance(series, Mapping) else series:
            self._by_seed[key] = values.sum(axis=1) / total
            columns.append(values.mean(axis=0))
        drawn = _drawn(columns, weights, seeds) if self._rows >= LEAST_ROWS else None
        self._drawn = None if drawn is None else dict(zip(self._by_seed, drawn, strict=True))

    def mean(self, key: Hashable) -> float:
        """Give a series' figure."""
        return float(self._by_seed[key].mean())

    def estimate(self, key: Hashable, *, assumed: float = 0.0) -> Estimate:
        """Give a series' figure with its range. `assumed`: how far one seed's figure is off, as a standard deviation,
        where the seeds are too few to tell."""
        drawn = None if self._drawn is None else self._drawn[key]
        return self._estimate(self._by_seed[key], drawn, assumed)

    def difference(self, one: Hashable, other: Hashable, *, assumed: float = 0.0) -> Estimate:
        """Give the one's figure less the other's, with its range."""
        drawn = None if self._drawn is None else self._drawn[one] - self._drawn[other]
        return self._estimate(self._by_seed[one] - self._by_seed[other], drawn, assumed)

    def _estimate(self, by_seed: Floats, drawn: Floats | None, assumed: float) -> Estimate:
        value = float(by_seed.mean())
        down = up = math.inf
        equal = max(float(LEAST_ROWS), self._equal_rows)
        if drawn is not None:
            low, high = np.quantile(drawn, (LEVEL / 2, 1 - LEVEL / 2))
            # Percentiles of a bootstrap are too narrow with few rows, by the root of n / (n - 1) and by z for t.
            # Source: Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section 4.3, arXiv:1411.5279.
            widened = math.sqrt(equal / (equal - 1)) * t_quantile(LEVEL, max(1, round(equal) - 1))
            widened /= t_quantile(LEVEL, None)
            down, up = max(0.0, value - float(low)) * widened, max(0.0, float(high) - value) * widened
        seeds = len(by_seed)
        seen = float(by_seed.std(ddof=1)) if seeds > 1 else 0.0
        measured = seeds >= LEAST_SEEDS
        error = (seen if measured else max(seen, assumed)) / math.sqrt(seeds)
        return Estimate(value, down, up, equal, error, seeds - 1 if measured else None)


@lru_cache(maxsize=4096)
def t_quantile(level: float, freedom: int | None) -> float:
    """Give how many standard errors a t-distributed figure is off at most, with a probability of 1 - level.

    `freedom`: degrees of it, from 1; None: the error is known, so that the distribution is the normal one.
    """
    if freedom is None or freedom >= NEARLY_NORMAL:
        return NormalDist().inv_cdf(1 - level / 2)
    low, high = 0.0, 1.0
    while _within(high, freedom) < 1 - level:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < 1 - level else (low, middle)
    return high


def _within(errors: float, freedom: int) -> float:
    """Give the probability that Student's t lies within so many standard errors.

    Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4.
    """
    angle = math.atan(errors / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = total = 0.0 if freedom == 1 else (cosine if odd else 1.0)
    for number in range(2 + odd, freedom - 1, 2):
        term *= cosine * cosine * (number - 1) / number
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def _drawn(columns: Sequence[Floats], weights: Floats, seeds: Sequence[int]) -> Floats:
    """Draw as many rows as there are, again and again. Returns: (columns, draws), each column's sum by the weights'.

    No BLAS: how that adds up hangs on the number of threads, and a repeated comparison must give the same bits.
    """
    rows = len(weights)
    chance = np.random.default_rng([*seeds, rows])
    drawn = np.empty((len(columns), DRAWS))
    portion = max(2, _PORTION // rows)  # a single draw is added up in another order, and rounded otherwise
    for first in range(0, DRAWS, portion):
        count = min(portion, DRAWS - first)
        picked = chance.integers(rows, size=(count, rows)) + rows * np.arange(count)[:, None]
        times = np.bincount(picked.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float64)
        totals = np.maximum(1.0, np.einsum("dr,r->d", times, weights))
        for place, column in enumerate(columns):
            drawn[place, first : first + count] = np.einsum("dr,r->d", times, column) / totals
    return drawn
