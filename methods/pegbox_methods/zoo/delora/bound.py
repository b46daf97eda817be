"""How far an update may go, whatever the model's size and the rank."""

from __future__ import annotations

import math
from collections.abc import Sequence

SHARE = 0.01
"""Of the length of a base matrix: how long its update is after the first step, which goes all the way to the bound."""


def boundary_for(rank: int, inputs: Sequence[int]) -> float:
    """Give the boundary at which updates are as long, beside their matrices, for every rank and width.

    `inputs`: of each adapted map. The update is a sum of `rank` directions, across one another at first, each
    of the length boundary / rank in units of the matrix' mean column; the matrix has as many columns as inputs.
    """
    return SHARE * math.sqrt(rank * sum(inputs) / len(inputs))
