"""How many rows and seeds would tell two contestants apart that can't be told apart by those there are."""

from __future__ import annotations

import math

from pegbox_runs.arena.chance import LEAST_SEEDS, LEVEL, t_quantile
from pegbox_runs.arena.results import Results
from pegbox_runs.arena.verdict import Compared, Verdict

SEEDS_TO_TRY = (3, 5, 8, 12, 20)
MOST_ROWS = 10
"""Times as many rows as there are: more isn't asked for where more seeds help as well."""


def what_would_tell(verdict: Verdict, results: Results) -> str:
    """Say it of the two with the lowest losses, if a difference as large as theirs is real; empty: nothing would."""
    rows, seeds = (results.rows.deciding if results.rows else 0), len(results.compared_seeds)
    found = next((pair for pair in verdict.pairs if pair.other == verdict.order[1] and not pair.told_apart), None)
    if found is None or found.difference.value == 0 or rows == 0:
        return ""
    enough = _enough(found, rows, seeds)
    if enough is None:
        return (
            "To tell the two lowest apart would take far more rows and seeds than these: for what can be seen they are "
            "as good as each other."
        )
    wanted_rows, wanted_seeds = enough
    parts = []
    if wanted_rows > rows:
        parts.append(f"{wanted_rows:,} deciding rows")
    if wanted_seeds > seeds:
        parts.append(f"{wanted_seeds} seeds")
    if not parts:
        return ""
    return f"To tell a difference of this size would take about {' and '.join(parts)}."


def _enough(pair: Compared, rows: int, seeds: int) -> tuple[int, int] | None:
    """Find (rows, seeds), the fewest seeds first; None: even the most that are tried aren't enough."""
    one = pair.difference
    gap = abs(one.value)
    spread = one.seeds_error * math.sqrt(seeds)
    for count in sorted({seeds, *(more for more in SEEDS_TO_TRY if more > seeds)}):
        freedom = count - 1 if count >= LEAST_SEEDS else None
        left = gap**2 - (t_quantile(LEVEL, freedom) * spread / math.sqrt(count)) ** 2
        if left <= 0:
            continue
        times = one.up**2 / left
        if times <= MOST_ROWS:
            return _rounded_up(rows * max(1.0, times)), count
    return None


def _rounded_up(number: float) -> int:
    """Round up to two digits."""
    unit: int = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / unit) * unit
