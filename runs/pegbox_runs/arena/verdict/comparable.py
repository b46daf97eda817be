"""Whose trainings can be held against each other, over which seeds and rows: their losses laid side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pegbox_methods.recipe import Metric
from pegbox_runs.arena.entries import Outcome
from pegbox_runs.arena.schedule import Outcomes, choice_rows, finals_of, out_of
from pegbox_runs.arena.spec import Comparison
from pegbox_runs.arena.verdict.chance import Floats
from pegbox_runs.judging.judged import Judged, Judgement, RowLosses

OTHER_ROWS = (
    "its rows have other numbers of labelled tokens than the others' have, so that its losses don't mean the same: "
    "it isn't compared"
)
NOT_FINITE = "its loss on the held-out rows is no finite number: it isn't compared"
OTHER_SEEDS = "it shares no finished seed with the others: it isn't compared"


@dataclass(frozen=True)
class Comparable:
    """Those that are compared, in the order in which they were asked for."""

    names: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    """Over which: those that all of them have done."""
    held_out: int = 0
    choosing: frozenset[int] = frozenset()
    """Places of the rows that chose learning rates, and decide nothing."""
    deciding: tuple[int, ...] = ()
    """Places of the others."""
    tokens: Floats = field(default_factory=lambda: np.zeros(0))
    """Labelled tokens of each row that decides."""
    judged: Mapping[str, tuple[Judged, ...]] = field(default_factory=dict)
    """Contestant -> what was judged with each of the seeds."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Contestant that has done something and still isn't compared -> why, as a clause."""

    def losses(self, name: str, *, before: bool = False) -> Floats:
        """Give a contestant's nats, or those of its base model, on the rows that decide. Shape (seeds, rows)."""
        looks = [one.before if before else one.after for one in self.judged[name]]
        return np.array([look.held_out.nats for look in looks])[:, list(self.deciding)]


def comparable(comparison: Comparison, outcomes: Outcomes) -> Comparable:
    """Find out who can be compared by now.

    Left out is who takes no further part, who has done nothing, whose losses aren't finite or are of other rows, and,
    where no seed is done by all, whoever has done the fewest.
    """
    done: dict[str, dict[int, Judged]] = {}
    left_out: dict[str, str] = {}
    for name in comparison.asked.contestants:
        found = done_of(name, comparison, outcomes)
        if not found or out_of(name, comparison, outcomes) is not None:
            continue
        if all(is_finite(one) for one in found.values()):
            done[name] = found
        else:
            left_out[name] = NOT_FINITE
    rows = _usual_rows(done)
    for name in [name for name, found in done.items() if {rows_of(one) for one in found.values()} != {rows}]:
        left_out[name] = OTHER_ROWS
        del done[name]
    while done and not _common(done):
        fewest = min(reversed(done), key=lambda name: len(done[name]))
        left_out[fewest] = OTHER_SEEDS
        del done[fewest]
    seeds = tuple(seed for seed in comparison.seeds if seed in _common(done))
    choosing = choice_rows(len(rows), search=comparison.asked.search)
    deciding = tuple(row for row in range(len(rows)) if row not in choosing)
    return Comparable(
        names=tuple(done),
        seeds=seeds,
        held_out=len(rows),
        choosing=choosing,
        deciding=deciding,
        tokens=np.array([rows[row] for row in deciding], dtype=np.float64),
        judged={name: tuple(found[seed] for seed in seeds) for name, found in done.items()},
        left_out=left_out,
    )


def done_of(name: str, comparison: Comparison, outcomes: Outcomes) -> dict[int, Judged]:
    """Give what was judged of a contestant's trainings that count, by seed."""
    return {one.entry.seed: one.judged for one in finals_of(name, comparison, outcomes) if is_done(one) and one.judged}


def is_done(outcome: Outcome) -> bool:
    """Tell whether a training has its result."""
    return outcome.state == "done" and outcome.judged is not None


def is_finite(judged: Judged) -> bool:
    """Tell whether all losses of the held-out rows, before and after, and their sums, are numbers to count with."""
    return all(math.isfinite(sum(look.held_out.nats)) for look in (judged.before, judged.after))


def rows_of(judged: Judged) -> tuple[int, ...] | None:
    """Give the labelled tokens of each held-out row; None: before and after don't agree."""
    before, after = judged.before.held_out, judged.after.held_out
    fits = before.tokens == after.tokens and len(before.nats) == len(after.nats) == len(after.tokens)
    return after.tokens if fits else None


def general_losses(judged: Sequence[Judged]) -> tuple[Floats, Floats, Floats] | None:
    """Give what the general rows lost, before and after, each (seeds, rows), and their tokens.

    None: there are none, or they aren't the same for all seeds.
    """
    looks = [(one.before.general, one.after.general) for one in judged]
    pairs = [(before, after) for before, after in looks if before is not None and after is not None]
    if not pairs or len(pairs) < len(looks) or len({rows.tokens for pair in pairs for rows in pair}) > 1:
        return None
    if not all(len(rows.nats) == len(rows.tokens) > 0 and _adds_up(rows) for pair in pairs for rows in pair):
        return None
    before, after = (np.array([pair[side].nats for pair in pairs]) for side in (0, 1))
    return before, after, np.array(pairs[0][0].tokens, dtype=np.float64)


def scores_of(looks: Sequence[Judgement]) -> dict[Metric, Floats]:
    """Give the scores of the answered rows by metric, each (seeds, rows); a metric that a seed lacks is left out."""
    found: dict[Metric, Floats] = {}
    for metric in looks[0].scores if looks else ():
        by_seed = [look.scores.get(metric, ()) for look in looks]
        if len({len(scores) for scores in by_seed}) == 1 and len(by_seed[0]) > 0:
            scores = np.array(by_seed, dtype=np.float64)
            if np.isfinite(scores).all():
                found[metric] = scores
    return found


def _adds_up(rows: RowLosses) -> bool:
    return math.isfinite(sum(rows.nats))


def _usual_rows(done: Mapping[str, Mapping[int, Judged]]) -> tuple[int, ...]:
    """Give the rows that most contestants were judged on; of two that are as usual, the first ones asked for."""
    seen = Counter(
        rows for found in done.values() for judged in found.values() if (rows := rows_of(judged)) is not None
    )
    return max(seen, key=seen.__getitem__) if seen else ()


def _common(done: Mapping[str, Mapping[int, Judged]]) -> frozenset[int]:
    return frozenset.intersection(*map(frozenset, done.values())) if done else frozenset()
