"""How many rows and seeds would tell two contestants apart that can't be told apart by those there are."""

from __future__ import annotations

import math

from pegbox_runs.arena.results import Results
from pegbox_runs.arena.verdict.chance import LEAST_SEEDS, LEVEL, t_quantile
from pegbox_runs.arena.verdict.groups import Compared

SEEDS_TO_TRY = (5, 8, 12, 20)
MOST_ROWS = 10
"""Times as many rows as there are: more isn't asked for where more seeds help as well."""


def what_would_tell(pair: Compared, results: Results) -> str:
    """Say it, if a difference as large as theirs is real; empty: there is none."""
    rows, seeds = (results.rows.deciding if results.rows else 0), len(results.compared_seeds)
    if pair.difference.value == 0 or rows == 0:
        return ""
    enough = _enough(pair, rows, seeds)
    if enough is None:
        return (
            f"To tell {pair.first} and {pair.other} apart would take far more rows and seeds than these: for what can "
            "be seen they are as good as each other."
        )
    wanted_rows, wanted_seeds = enough
    parts = [f"{wanted_rows:,} deciding rows"] if wanted_rows > rows else []
    parts += [f"{wanted_seeds} seeds"] if wanted_seeds > seeds else []
    return f"To tell a difference of this size would take about {' and '.join(parts)}." if parts else ""


def _enough(pair: Compared, rows: int, seeds: int) -> tuple[int, int] | None:
    """Find (rows, seeds), the fewest seeds first; None: even the most that are tried aren't enough.

    Where the chance of the seeds isn't measured, the seeds that measure it are asked for, and half the room is left.
    """
    one = pair.difference
    gap = one.value**2
    if one.seeds_freedom is None:
        plans = [(LEAST_SEEDS, gap / 2)]
    else:
        spread = one.seeds_error * math.sqrt(seeds)
        counts = (seeds, *(more for more in SEEDS_TO_TRY if more > seeds))
        plans = [(count, gap - (t_quantile(LEVEL, count - 1) * spread) ** 2 / count) for count in counts]
    for count, left in plans:
        if left > 0 and one.up**2 <= MOST_ROWS * left:
            return _rounded_up(rows * max(1.0, one.up**2 / left)), count
    return None


def _rounded_up(number: float) -> int:
    """Round up to two digits."""
    unit: int = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / unit) * unit
