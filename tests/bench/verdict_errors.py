"""How often a comparison says what isn't so, by simulation; and what a verdict costs.

    python -m tests.bench.verdict_errors [COMPARISONS]

prints, for comparisons without a true difference, how often a winner is called (at most 7 %) and how often a 95 % range
holds the truth (92 to 99 %), by contestants, seeds and rows; and how often a contestant that is worse is found out.
"""

from __future__ import annotations

import sys
from itertools import product

from tests.runs.arena.simulated_comparisons import Design, rates, simulate, varied


def main(count: int) -> None:
    """Print all."""
    print("no true difference: 2 to 4 contestants, 1, 3 or 5 seeds, 20 to 300 rows")
    print("  all", rates([simulate(design, seed) for seed, design in enumerate(varied(count, 8))]))
    for contestants, seeds in product((2, 3, 4), (1, 2, 3, 5)):
        found = [simulate(Design(contestants, seeds, 20 + 28 * (seed % 11)), seed) for seed in range(count // 4)]
        print(f"  {contestants} contestants, {seeds} seeds", rates(found))
    for rows in (2, 3, 5, 9, 20, 40, 300):
        found = [simulate(Design(2, 3, rows), seed) for seed in range(count // 4)]
        print(f"  {rows:4} rows", rates(found))
    print("seeds that do more than was ever measured: a standard deviation of 5 % of the gain")
    for seeds in (1, 2, 3, 5):
        found = [simulate(Design(2, seeds, 100, seed_spreads=(0.05, 0.05)), seed) for seed in range(count // 4)]
        print(f"  {seeds} seeds", rates(found))
    print("one of three is worse, by a share of what the training gains; 100 rows")
    for worse, seeds in product((0.05, 0.1, 0.2, 0.3), (1, 3, 5)):
        found = [simulate(Design(3, seeds, 100, worse), seed) for seed in range(count // 4)]
        print(f"  by {worse:.0%}, {seeds} seeds", rates(found))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
