"""How strongly a wave moves a matrix, whatever the model's size."""

from __future__ import annotations

import math
from collections.abc import Sequence

PAPERS_SCALING = 300.0
PAPERS_WIDTH = 4096
"""Of LLaMA 7B's attention, for which the paper has that scaling."""


def scaling_for(weights: Sequence[int]) -> float:
    """Give the scaling at which one rate changes what comes out of a matrix as much as it does for the paper's.

    `weights`: of each adapted matrix. The inverse transform divides by that number, and a matrix of half the width
    sums up half as many inputs, which leaves the width: the square root of the number.
    """
    return PAPERS_SCALING * math.sqrt(sum(weights) / len(weights)) / PAPERS_WIDTH
