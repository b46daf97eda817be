"""How long the vectors of the bank are."""

from __future__ import annotations

import math
from collections.abc import Iterable

LONGEST = 256
"""The paper's length for RoBERTa and Llama 2."""


def vector_length(asked: int, widths: Iterable[int]) -> int:
    """Give the length that was asked for; for 0, the largest power of two up to 256 that divides all widths."""
    common = math.gcd(*widths)
    return asked or min(LONGEST, common & -common)
