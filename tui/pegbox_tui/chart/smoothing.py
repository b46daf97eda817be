"""A curve without its noise: an exponential mean that is right from its first point on."""

from __future__ import annotations

from itertools import accumulate

from pegbox_runs.curve import Curve
from pegbox_tui.chart.scale import HUGE

PARTS_OF_SPAN = 50
"""A long span is smoothed by the means of so many parts of it, which no chart can tell from smoothing each point."""
AT_ONCE = 10_000
"""Parts that are taken in at once: some hundredths of a second."""
LEAST_MISSING = 1e-9
"""Share of the missing weight below which it is left alone."""


class Smoothed:
    """Follows a curve as it grows, and looks at each point once.

    Each point counts `1 / span` of the mean and what came before the rest, so that it stands for about the last `span`
    points. The mean of the first points is divided by the weight that they had so far; else it would begin at 0.
    Source: Kingma and Ba 2015, section 3, arXiv:1412.6980 (the same correction of an exponential mean).
    """

    def __init__(self, span: int) -> None:
        self.span = span
        self._part = max(span // PARTS_OF_SPAN, 1)
        self._share = 1.0 - (1.0 - 1.0 / span) ** self._part
        self.curve = Curve()
        self._mean = 0.0
        self._missing = 1.0
        """Weight that no point has taken yet."""
        self._next = 0
        """The first step that wasn't taken in."""
        self._kept: tuple[int, list[float]] = (0, [])
        """How many points were taken in, and the last of them."""

    def follow(self, curve: Curve) -> bool:
        """Take in what the curve has more than the last one; all of it anew where the run went back.

        Returns: whether nothing is left, or else the next call takes more.
        """
        if not self._holds(curve):
            self._begin_anew()
        ends = curve.ends
        if ends is None:
            return True
        first = max(self._next, ends[0])
        whole = (ends[1] + 1 - first) // self._part
        parts = min(whole, AT_ONCE)
        if parts > 0:
            last = first + parts * self._part - 1
            self._take(curve, first, last, parts)
            self._next = last + 1
            self._kept = len(curve.until(last)), curve.until(last).last(1)
        return parts == whole

    def _begin_anew(self) -> None:
        self.curve, self._mean, self._missing, self._next, self._kept = Curve(), 0.0, 1.0, 0, (0, [])

    def _holds(self, curve: Curve) -> bool:
        """Tell whether what was taken in is how the curve begins."""
        begin = curve.until(self._next - 1)
        return (len(begin), begin.last(1)) == self._kept

    def _take(self, curve: Curve, first: int, last: int, parts: int) -> None:
        """Add the points of some steps, or the means of parts of them."""
        if self._part == 1:
            points = curve.between(first, last)
        else:
            means = curve.means(first, last, parts, self._part)
            ends = range(first + self._part - 1, last + 1, self._part)
            points = [(step, mean) for step, mean in zip(ends, means, strict=True) if mean is not None]
        points = [point for point in points if abs(point[1]) < HUGE]  # one larger would stay in the mean for good
        if points:
            self.curve = self.curve.after([step for step, _ in points], self._means([value for _, value in points]))

    def _means(self, values: list[float]) -> list[float]:
        share = self._share
        means = list(accumulate(values, lambda mean, value: mean + share * (value - mean), initial=self._mean))[1:]
        self._mean = means[-1]
        for number in range(len(means)):
            if self._missing < LEAST_MISSING:
                break
            self._missing *= 1.0 - share
            means[number] /= 1.0 - self._missing
        return means
