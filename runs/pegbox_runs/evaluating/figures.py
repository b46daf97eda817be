"""From what both models made of each row to figures with their ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pegbox_methods.recipe import Metric
from pegbox_runs.arena.results import Interval
from pegbox_runs.arena.verdict.chance import Estimate, SameRows
from pegbox_runs.evaluating.evaluated import Figure, Finding, Measure
from pegbox_runs.judging.judged import Judgement, RowLosses

DRAWN_BY = (0,)
"""What the drawn rows hang on: the same evaluation gives the same ranges."""
LEAST_LOSS = 1e-4
"""Nats per token. Two computations of one model in 16 bits differ by as much, in all rows to the same side."""


def figures(base: Judgement, tuned: Judgement) -> tuple[Figure, ...]:
    """Hold two models' judgements against each other, the loss first; they are of the same rows."""
    return tuple(_figures(base, tuned))


def _figures(base: Judgement, tuned: Judgement) -> Iterator[Figure]:
    yield _of_losses("loss", base.held_out, tuned.held_out)
    for metric in tuned.scores:
        if tuned.scores[metric]:
            yield _of_scores(metric, base.scores[metric], tuned.scores[metric])
    if base.general is not None and tuned.general is not None:
        yield _of_losses("general-loss", base.general, tuned.general)


def _of_losses(measure: Measure, base: RowLosses, tuned: RowLosses) -> Figure:
    return _figure(measure, base.tokens, base.nats, tuned.nats, higher_is_better=False, least=LEAST_LOSS)


def _of_scores(metric: Metric, base: Sequence[float], tuned: Sequence[float]) -> Figure:
    return _figure(metric, [1] * len(base), base, tuned, higher_is_better=True)


def _figure(
    measure: Measure,
    weights: Sequence[int],
    base: Sequence[float],
    tuned: Sequence[float],
    *,
    higher_is_better: bool,
    least: float = 0.0,
) -> Figure:
    """`weights`: what each row counts; the figures are sums over rows of so much. `least`: see `finding`."""
    rows = SameRows(
        np.array(weights, dtype=np.float64),
        {side: np.array([values], dtype=np.float64) for side, values in (("base", base), ("tuned", tuned))},
        DRAWN_BY,
    )
    difference = rows.difference("tuned", "base")
    return Figure(
        measure=measure,
        rows=len(weights),
        base=rows.mean("base"),
        tuned=rows.mean("tuned"),
        difference=_told(difference.interval),
        higher_is_better=higher_is_better,
        finding=finding(difference, higher_is_better=higher_is_better, least=least),
    )


def _told(found: Interval) -> Interval:
    """Leave out a range without any width: where no row differs from another, drawing them anew tells nothing."""
    return Interval(value=found.value) if found.low == found.high else found


def finding(difference: Estimate, *, higher_is_better: bool, least: float = 0.0) -> Finding:
    """Say what a difference shows for the model whose figure comes first in it. `least`: a smaller one shows nothing,
    however sure it is."""
    if not difference.is_beyond_chance() or abs(difference.value) < least:
        return "no difference shown"
    return "better" if (difference.value > 0) == higher_is_better else "worse"
