"""The lowest and the highest number of any part of a long array, without looking at each number again."""

from __future__ import annotations

import threading
from array import array

WIDTH = 64
"""Numbers in a block, and blocks in a block of the next level: a part of a million has at most some 250 pieces."""
LEVELS = 2


class Extremes:
    """Blocks of an array that only grows, made when they are asked for first; each whole block is looked at once.

    Several threads may ask, while another one lets the array grow.
    """

    __slots__ = ("_highest", "_lock", "_lowest")

    def __init__(self) -> None:
        self._lowest: list[array[float]] = []  # a level each, once something is asked: most arrays never are
        self._highest: list[array[float]] = []
        self._lock = threading.Lock()

    def copied(self, length: int) -> Extremes:
        """Give those of the array's first so many numbers."""
        other = Extremes()
        with self._lock:
            for level, (low, high) in enumerate(zip(self._lowest, self._highest, strict=True), start=1):
                whole = length // WIDTH**level
                other._lowest.append(low[:whole])
                other._highest.append(high[:whole])
        return other

    def within(self, values: array[float], begin: int, end: int) -> tuple[float, float] | None:
        """Give the lowest and the highest number from one place up to, and without, another; None: there is none."""
        if begin >= end:
            return None
        if end - begin < 2 * WIDTH:
            part = values[begin:end]
            return min(part), max(part)
        self._grow(values, end)
        lows: list[float] = []
        highs: list[float] = []
        for level, first, behind in _pieces(begin, end):
            lows += (self._lowest[level - 1] if level else values)[first:behind]
            highs += (self._highest[level - 1] if level else values)[first:behind]
        return min(lows), max(highs)

    def _grow(self, values: array[float], end: int) -> None:
        """Look at the whole blocks before a place that weren't looked at yet."""
        with self._lock:
            if not self._lowest:
                self._lowest += [array("d") for _ in range(LEVELS)]
                self._highest += [array("d") for _ in range(LEVELS)]
            below_low, below_high = values, values
            for level in range(LEVELS):
                low, high = self._lowest[level], self._highest[level]
                for block in range(len(low), end // WIDTH ** (level + 1)):
                    places = slice(block * WIDTH, (block + 1) * WIDTH)
                    low.append(min(below_low[places]))
                    high.append(max(below_high[places]))
                below_low, below_high = low, high


def _pieces(begin: int, end: int) -> list[tuple[int, int, int]]:
    """Cut a part into (level, first, one behind the last), at each level in that level's blocks; 0: single numbers."""
    pieces: list[tuple[int, int, int]] = []
    for level in range(LEVELS):
        inner_begin, inner_end = -(-begin // WIDTH), end // WIDTH
        if inner_begin >= inner_end:
            break
        pieces += [(level, begin, inner_begin * WIDTH), (level, inner_end * WIDTH, end)]
        begin, end = inner_begin, inner_end
    else:
        level = LEVELS
    return [*pieces, (level, begin, end)]
