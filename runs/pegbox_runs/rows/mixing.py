"""How often each row of several sources is seen in an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pegbox_runs.rows.split import Hashes, seeded


@dataclass(frozen=True)
class Portion:
    """One source of a mixture: a weight or a share."""

    keys: Hashes
    """Of its rows that may be trained."""
    weight: float | None
    """How often each row is seen."""
    share: float | None
    """Which part of the epoch its rows are."""


@dataclass(frozen=True)
class Taken:
    """What is taken of one source."""

    copies: NDArray[np.int64]
    """How often each of its rows is seen, in its order."""
    wanted: int
    """Rows, copies counted, that the weight or the share asks for; more than there are where a share is too large."""

    @property
    def rows(self) -> int:
        """Rows of an epoch, copies counted."""
        return int(self.copies.sum())


def mix(portions: Sequence[Portion], seed: int) -> list[Taken]:
    """Choose the rows of an epoch. Which ones depends on their content and the seed, not on their order.

    A weight of 2.5 takes each row twice and every other one, as chance has it, a third time. Shares are of the whole
    epoch, and take no row twice: a source that has too few rows gives all it has.
    """
    weighted = [_weighted(portion, seed) if portion.share is None else None for portion in portions]
    rows = sum(taken.rows for taken in weighted if taken is not None)
    rest = 1 - sum(portion.share or 0 for portion in portions)
    return [
        taken or _first(portion.keys, round(rows * (portion.share or 0) / rest), seed)
        for portion, taken in zip(portions, weighted, strict=True)
    ]


def _weighted(portion: Portion, seed: int) -> Taken:
    whole, part = divmod(1.0 if portion.weight is None else portion.weight, 1)
    more = _first(portion.keys, round(part * len(portion.keys)), seed)
    copies = more.copies + int(whole)
    return Taken(copies, int(copies.sum()))


def _first(keys: Hashes, count: int, seed: int) -> Taken:
    """Take so many rows, those with the lowest seeded hashes."""
    copies = np.zeros(len(keys), dtype=np.int64)
    # Another seed than the split's, or the rows taken would be those next to the held-out ones.
    copies[np.argsort(seeded(seeded(keys, seed), seed), kind="stable")[:count]] = 1
    return Taken(copies, count)
