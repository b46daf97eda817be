"""Which rows gained and lost most by a training."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pegbox_runs.judging.judged import RowLosses


class ChangedRows(NamedTuple):
    """Places of rows, from 0."""

    gained: tuple[int, ...]
    """Whose loss per token fell most, the most first."""
    lost: tuple[int, ...]
    """Whose loss per token rose most."""


def changed_rows(base: RowLosses, tuned: RowLosses, count: int) -> ChangedRows:
    """Choose at most `count` of each; a row whose loss stayed is in neither."""
    tokens = np.array(base.tokens, dtype=np.float64)
    change = (np.array(tuned.nats) - np.array(base.nats)) / tokens
    order = np.argsort(change, kind="stable")
    gained = tuple(int(place) for place in order[:count] if change[place] < 0)
    lost = tuple(int(place) for place in order[::-1][:count] if change[place] > 0)
    return ChangedRows(gained, lost)
