"""results.json from what became of the entries: every figure, who is better than whom, and what may be said."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from pegbox_runs.arena.entries import Outcome
from pegbox_runs.arena.results import Base, ContestantResult, Pair, Results, Rows
from pegbox_runs.arena.schedule import Grouped, Outcomes, choice_rows, finals_of, loss_of, trials_of
from pegbox_runs.arena.spec import Asked, Comparison
from pegbox_runs.arena.verdict.chance import Floats, SameRows
from pegbox_runs.arena.verdict.comparable import Comparable, comparable, scores_of
from pegbox_runs.arena.verdict.contestant_figures import Basis, contestant_result
from pegbox_runs.arena.verdict.edge_of_search import remark_on_edge, remarks_on_edges
from pegbox_runs.arena.verdict.failed_seeds import remark_on_failed_seed, remarks_on_failed_seeds
from pegbox_runs.arena.verdict.groups import Verdict, verdict_of
from pegbox_runs.arena.verdict.own_base import remark_on_change
from pegbox_runs.arena.verdict.pareto import pareto_of
from pegbox_runs.arena.verdict.recommendation import recommendation_of
from pegbox_runs.arena.verdict.remarks import SEED_SHARE, is_packed, remarks_on, remarks_on_one
from pegbox_runs.arena.verdict.scored_rows import remarks_on_scored_rows
from pegbox_runs.figures import duration
from pegbox_runs.judging.judged import Judgement


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a comparison's entries don't tell."""

    comparison: str
    """The comparison's id."""
    complete: bool
    """Whether nothing is left to run."""
    machine: str
    device: str | None
    """Where it was trained, as torch names it; None: not known yet."""
    model: str
    rows_file: str
    version: str
    """Of Pegbox."""
    remarks: tuple[str, ...] = ()
    """What the director has to add."""


def results_of(comparison: Comparison, outcomes: Outcomes, facts: Facts) -> Results:
    """Make the record of what is known by now, of a comparison that goes on as well.

    Everything but `made` follows from what is given: the same comes out bit for bit.
    """
    with np.errstate(all="ignore"):  # what isn't finite is left out, and told
        basis = _basis(comparison, Grouped(outcomes))
        names = comparison.asked.contestants
        found = {name: _contestant(name, basis) for name in names}
        order = (*basis.verdict.order, *(name for name in names if name not in basis.verdict.order))
        results = _record(basis, tuple(found[name] for name in order), facts)
        said = recommendation_of(results, basis.verdict)
        remarks = (*results.remarks, *remarks_on_edges(results))
    return msgspec.structs.replace(results, recommendation=said, remarks=remarks)


def _record(basis: Basis, contestants: tuple[ContestantResult, ...], facts: Facts) -> Results:
    comparison, verdict = basis.comparison, basis.verdict
    recipe = next(iter(comparison.recipes.values()))
    pareto = pareto_of(contestants)
    return Results(
        comparison=facts.comparison,
        complete=facts.complete,
        made=time.time(),
        version=facts.version,
        machine=facts.machine,
        device=facts.device,
        model=facts.model,
        rows_file=facts.rows_file,
        rows=_rows(basis.compared),
        seeds=comparison.seeds,
        compared_seeds=basis.compared.seeds,
        steps=comparison.steps,
        effective_batch=recipe.training.micro_batch * recipe.training.accumulation,
        length=recipe.training.length,
        search=comparison.asked.search,
        budget=_budget(comparison.asked),
        wall_seconds=comparison.aside_seconds + math.fsum(one.wall_seconds for one in basis.outcomes.values()),
        base=_base(basis),
        contestants=contestants,
        pairs=tuple(
            Pair(one=pair.first, other=pair.other, difference=pair.difference.interval, told_apart=pair.told_apart)
            for pair in verdict.pairs
        ),
        groups=verdict.groups,
        winner=verdict.winner,
        pareto=pareto if pareto.front else None,
        remarks=(
            *remarks_on_failed_seeds(basis),
            *remarks_on_scored_rows(basis),
            *remarks_on(basis, complete=facts.complete),
            *facts.remarks,
        ),
    )


def _basis(comparison: Comparison, outcomes: Outcomes) -> Basis:
    """Lay the rows side by side, draw, and decide."""
    compared = comparable(comparison, outcomes)
    if not compared.names or not compared.deciding:
        return Basis(comparison, outcomes, compared, None, Verdict(compared.names), {})
    rows = SameRows(compared.tokens, _series(compared), comparison.asked.seeds)
    assumed = {
        name: SEED_SHARE * abs(rows.mean(("before", name)) - rows.mean(("after", name))) for name in compared.names
    }
    verdict = verdict_of(
        rows, compared.names, {name: ("after", name) for name in compared.names}, assumed, len(compared.deciding)
    )
    return Basis(comparison, outcomes, compared, rows, verdict, assumed)


def _series(compared: Comparable) -> Iterator[tuple[Hashable, Floats]]:
    """Give what is summed, one after the other: of a hundred contestants with a hundred seeds, all take much memory."""
    for name in compared.names:
        yield ("after", name), compared.losses(name)
        yield ("before", name), compared.losses(name, before=True)


def _contestant(name: str, basis: Basis) -> ContestantResult:
    one = contestant_result(name, basis, tuple(remarks_on_one(name, basis)))
    more = [
        remark
        for remark in (remark_on_failed_seed(name, basis), remark_on_edge(one), remark_on_change(one))
        if remark is not None
    ]
    return msgspec.structs.replace(one, remarks=(*one.remarks, *more))


def _rows(compared: Comparable) -> Rows | None:
    if not compared.names:
        return None
    looks = [one.after for judged in compared.judged.values() for one in judged]
    answered = max((len(scores) for look in looks for scores in look.scores.values()), default=0)
    return Rows(
        held_out=compared.held_out,
        choosing=len(compared.choosing),
        deciding=len(compared.deciding),
        general=next((len(look.general.nats) for look in looks if look.general is not None), None),
        answered=answered or None,
    )


def _base(basis: Basis) -> Base | None:
    """Give the base model's own figures as soon as any entry has seen it: unpacked, unless all contestants pack it."""
    recipes = basis.comparison.recipes
    unpacked = [name for name in basis.comparison.asked.contestants if not is_packed(recipes[name])]
    for name in unpacked or basis.comparison.asked.contestants:
        for one in (*finals_of(name, basis.comparison, basis.outcomes), *trials_of(name, basis.outcomes)):
            found = _base_of(one, basis)
            if found is not None:
                return found
    return None


def _base_of(outcome: Outcome, basis: Basis) -> Base | None:
    if outcome.judged is None:
        return None
    before: Judgement = outcome.judged.before
    rows = len(before.held_out.nats)
    if basis.compared.names and rows != basis.compared.held_out:
        return None
    choosing = choice_rows(rows, search=basis.comparison.asked.search)
    loss = loss_of(before.held_out, [row for row in range(rows) if row not in choosing])
    general = None if before.general is None else before.general.mean
    if not rows or not math.isfinite(loss):
        return None
    return Base(
        loss=loss,
        general=general if general is not None and math.isfinite(general) else None,
        scores={metric: float(given.mean()) for metric, given in scores_of([before]).items()},
    )


def _budget(asked: Asked) -> str:
    if asked.budget_seconds is not None:
        return duration(asked.budget_seconds)
    return "" if asked.budget_steps is None else f"{asked.budget_steps:,} steps"
