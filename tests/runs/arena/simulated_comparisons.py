"""Comparisons whose truth is known: how often is a winner called that isn't one, and how often does a range hold?

Losses are made of what real ones are: rows of very different length and difficulty, shared by all contestants; what one
contestant makes of a row that another doesn't, with heavy tails; what a seed does to a contestant as a whole; and
what is left. The training gains one nat per token, so that shares of the gain are nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pegbox_runs.arena.verdict.chance import Floats, SameRows
from pegbox_runs.arena.verdict.groups import Verdict, verdict_of
from pegbox_runs.arena.verdict.remarks import SEED_SHARE

SEED_SPREADS = 0.004, 0.022
"""Standard deviations of a seed's effect, as shares of the gain: the least and most that were measured."""


@dataclass(frozen=True)
class Design:
    """What is simulated."""

    contestants: int
    seeds: int
    rows: int
    worse: float = 0.0
    """By how much the last contestant's loss is higher than the others', in nats per token."""
    seed_spreads: tuple[float, float] = SEED_SPREADS


@dataclass(frozen=True)
class Simulated:
    """What came of one."""

    design: Design
    verdict: Verdict
    covered: tuple[bool, ...]
    """Of each pair's 95 % range, whether it holds the true difference."""


@dataclass(frozen=True)
class Rates:
    """What came of many."""

    comparisons: int
    winners: float
    """Share in which a winner was called."""
    covered: float
    """Share of the pairs whose range held the truth."""
    last_apart: float
    """Share in which the last contestant wasn't in the first group."""

    def __str__(self) -> str:
        return (
            f"{self.comparisons:6} comparisons   winner {self.winners:6.1%}   covered {self.covered:6.1%}   "
            f"last one told apart {self.last_apart:6.1%}"
        )


def varied(count: int, seed: int) -> Iterator[Design]:
    """Give designs of 2 to 4 contestants, 1, 3 or 5 seeds and 20 to 300 rows, with no true difference."""
    chance = np.random.default_rng(seed)
    for _ in range(count):
        rows = round(math.exp(chance.uniform(math.log(20), math.log(300))))
        yield Design(int(chance.integers(2, 5)), int(chance.choice((1, 3, 5))), rows)


def simulate(design: Design, seed: int) -> Simulated:
    """Make one comparison up, and judge it."""
    names = tuple(f"c{number}" for number in range(design.contestants))
    tokens, losses = _losses(design, np.random.default_rng(seed))
    rows = SameRows(tokens, dict(zip(names, losses, strict=True)), [seed])
    assumed = dict.fromkeys(names, SEED_SHARE)
    verdict = verdict_of(rows, names, {name: name for name in names}, assumed, design.rows)
    covered = []
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            interval = rows.difference(one, other, assumed=SEED_SHARE * math.sqrt(2)).interval
            truth = -design.worse if other == names[-1] else 0.0
            assert interval.low is not None
            assert interval.high is not None
            covered.append(interval.low <= truth <= interval.high)
    return Simulated(design, verdict, tuple(covered))


def rates(found: list[Simulated]) -> Rates:
    """Count."""
    pairs = [one for simulated in found for one in simulated.covered]
    last = [f"c{one.design.contestants - 1}" not in one.verdict.groups[0] for one in found]
    return Rates(
        comparisons=len(found),
        winners=sum(one.verdict.winner is not None for one in found) / len(found),
        covered=sum(pairs) / len(pairs),
        last_apart=sum(last) / len(last),
    )


def _losses(design: Design, chance: np.random.Generator) -> tuple[Floats, Floats]:
    """Give the tokens of each row, and nats of shape (contestants, seeds, rows)."""
    contestants, seeds, rows = design.contestants, design.seeds, design.rows
    tokens = np.maximum(1.0, np.round(chance.lognormal(3.5, 0.8, rows)))
    difficulty = chance.lognormal(0.0, 0.6, rows)
    own = chance.uniform(0.05, 0.3) * chance.standard_t(3, (contestants, 1, rows)) / math.sqrt(3)
    skewed = chance.uniform(0.0, 0.2) * (chance.lognormal(0.0, 1.0, (contestants, 1, rows)) - math.exp(0.5))
    by_seed = chance.uniform(*design.seed_spreads) * chance.standard_normal((contestants, seeds, 1))
    rest = chance.uniform(0.01, 0.1) * chance.standard_normal((contestants, seeds, rows))
    worse = np.zeros((contestants, 1, 1))
    worse[-1] = design.worse
    return tokens, tokens * (difficulty + own + skewed + by_seed + rest + worse)
