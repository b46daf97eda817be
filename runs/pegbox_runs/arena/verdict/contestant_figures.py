"""One contestant's figures, from what became of its entries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pegbox_runs.arena.entries import Outcome
from pegbox_runs.arena.report.names import recipe_name
from pegbox_runs.arena.results import ContestantResult, Interval, SeedResult, Standing, Trial
from pegbox_runs.arena.schedule import Outcomes, choice_rows, chosen_rate, finals_of, loss_of, out_of, trials_of
from pegbox_runs.arena.spec import Comparison
from pegbox_runs.arena.verdict.chance import LEAST_SEEDS, LEVEL, SameRows, t_quantile
from pegbox_runs.arena.verdict.comparable import Comparable, done_of, general_losses, is_done, is_finite, scores_of
from pegbox_runs.arena.verdict.groups import Verdict
from pegbox_runs.judging.judged import Judged

RateBy = Literal["recipe", "search", "search-edge"]


@dataclass(frozen=True)
class Basis:
    """What the figures of all contestants are made from."""

    comparison: Comparison
    outcomes: Outcomes
    compared: Comparable
    rows: SameRows | None
    """The series ("after", name) and ("before", name) of those that are compared; None: no row decides."""
    verdict: Verdict
    assumed: Mapping[str, float]
    """Contestant -> how far one seed's loss is off, where the seeds are too few to tell."""

    @property
    def drawn_by(self) -> tuple[int, ...]:
        """What the drawing of rows hangs on: a comparison that is repeated draws the same."""
        return self.comparison.asked.seeds


def contestant_result(name: str, basis: Basis, remarks: Sequence[str]) -> ContestantResult:
    """Put together all that is known of a contestant."""
    comparison, outcomes = basis.comparison, basis.outcomes
    recipe = comparison.recipes[name]
    finals = [one for one in finals_of(name, comparison, outcomes) if is_done(one)]
    seeds = tuple(_seed(one, one.judged, comparison) for one in finals if one.judged and _has_loss(one.judged))
    costed = _costed(name, finals, basis)
    trials = tuple(_trials(name, outcomes)) if comparison.asked.search else ()
    group = next((place for place, group in enumerate(basis.verdict.groups, 1) if name in group), None)
    failed = _failed(name, comparison, outcomes)
    return ContestantResult(
        name=name,
        method=recipe.method.name,
        settings=recipe.method.settings,
        standing=_standing(name, comparison, outcomes),
        why="" if failed is None else failed.why,
        out_of_memory=failed is not None and failed.out_of_memory,
        place=basis.verdict.places.get(name),
        group=group,
        rate=chosen_rate(name, comparison, outcomes),
        rate_by=_rate_by(name, comparison, outcomes),
        trials=trials,
        seeds=seeds,
        device_peak=max((one.device_peak for one in costed if one.device_peak is not None), default=None),
        process_peak=max((one.process_peak for one in costed if one.process_peak is not None), default=None),
        training_seconds=_over_seeds([one.training_seconds for one in costed]),
        tokens_per_second=_over_seeds([_tokens_per_second(one) for one in costed]),
        adapter_bytes=_newest([one.adapter_bytes for one in finals]),
        trainable_weights=_newest([one.trainable_weights for one in finals]),
        remarks=tuple(remarks),
        **_of_the_rows(name, basis),
        **_beside_the_loss(name, basis),
    )


def _costed(name: str, finals: Sequence[Outcome], basis: Basis) -> list[Outcome]:
    """Give the trainings whose costs count: of the seeds over which losses are compared, so that costs are too."""
    compared = name in basis.compared.names
    return [one for one in finals if not compared or one.entry.seed in basis.compared.seeds]


def _of_the_rows(name: str, basis: Basis) -> dict[str, Any]:
    """Give the fields that hang on the held-out rows."""
    if basis.rows is None or name not in basis.compared.names:
        return {}
    rows, assumed = basis.rows, basis.assumed[name]
    return {
        "loss": rows.estimate(("after", name), assumed=assumed).interval,
        "base_loss": rows.mean(("before", name)),
        "change": rows.difference(("after", name), ("before", name), assumed=assumed).interval,
    }


def _beside_the_loss(name: str, basis: Basis) -> dict[str, Any]:
    """Give the fields that hang on the general rows and on answers."""
    judged = basis.compared.judged.get(name) or tuple(done_of(name, basis.comparison, basis.outcomes).values())
    fields: dict[str, Any] = {}
    general = general_losses(judged)
    if general is not None:
        before, after, tokens = general
        same = SameRows(tokens, {"before": before, "after": after}, basis.drawn_by)
        fields["forgetting"] = same.difference("after", "before").interval
    scores = scores_of([one.after for one in judged])
    fields["scores"] = {
        metric: _from_0_to_1(SameRows(np.ones(given.shape[1]), {0: given}, basis.drawn_by).estimate(0).interval)
        for metric, given in scores.items()
    }
    base = scores_of([one.before for one in judged])
    fields["base_scores"] = {metric: float(given.mean()) for metric, given in base.items()}
    return fields


def _seed(outcome: Outcome, judged: Judged, comparison: Comparison) -> SeedResult:
    held_out, general = judged.after.held_out, judged.after.general
    choosing = choice_rows(len(held_out.nats), search=comparison.asked.search)
    scores = scores_of([judged.after])
    return SeedResult(
        seed=outcome.entry.seed,
        entry=outcome.entry.id,
        recipe=recipe_name(outcome.entry.contestant, outcome.entry.seed),
        loss=loss_of(held_out, [row for row in range(len(held_out.nats)) if row not in choosing]),
        loss_all=held_out.mean,
        kept_step=judged.kept_step,
        general=None if general is None or not math.isfinite(general.mean) else general.mean,
        scores={metric: float(given.mean()) for metric, given in scores.items()},
        device_peak=outcome.device_peak,
        process_peak=outcome.process_peak,
        training_seconds=outcome.training_seconds,
        wall_seconds=outcome.wall_seconds,
        tokens_per_second=_tokens_per_second(outcome),
        changed=outcome.changed,
        curve=tuple((step, loss) for step, loss in outcome.curve if math.isfinite(loss)),
    )


def _has_loss(judged: Judged) -> bool:
    return is_finite(judged) and len(judged.after.held_out.nats) > 0


def _trials(name: str, outcomes: Outcomes) -> Iterator[Trial]:
    for one in trials_of(name, outcomes):
        loss = None
        if is_done(one) and one.judged is not None:
            held_out = one.judged.after.held_out
            loss = loss_of(held_out, choice_rows(len(held_out.nats), search=True) or None)
        if one.over:
            known = loss is not None and math.isfinite(loss)
            yield Trial(
                rate=one.entry.rate,
                steps=one.entry.steps,
                loss=loss if known else None,
                why="" if known else "diverged" if one.diverged or one.state == "done" else one.why,
            )


def _standing(name: str, comparison: Comparison, outcomes: Outcomes) -> Standing:
    if out_of(name, comparison, outcomes) is not None:
        return "failed"
    finals = finals_of(name, comparison, outcomes)
    done = sum(is_done(one) for one in finals)
    if done == len(comparison.seeds):
        return "done"
    if any(one.state == "running" for one in (*finals, *trials_of(name, outcomes))):
        return "running"
    return "part" if done else "waiting"


def _failed(name: str, comparison: Comparison, outcomes: Outcomes) -> Outcome | None:
    why = out_of(name, comparison, outcomes)
    entries = (*trials_of(name, outcomes), *finals_of(name, comparison, outcomes))
    return next((one for one in entries if one.state == "failed" and one.why == why), None)


def _rate_by(name: str, comparison: Comparison, outcomes: Outcomes) -> RateBy:
    """Say whose choice the rate was. What blew up was tried as well, so the rate below it is no edge."""
    rate = chosen_rate(name, comparison, outcomes)
    tried = [one.entry.rate for one in trials_of(name, outcomes) if one.entry.rung == 0]
    if not comparison.asked.search or rate is None or not tried:
        return "recipe"
    return "search-edge" if rate in {min(tried), max(tried)} else "search"


def _over_seeds(figures: Sequence[float]) -> Interval | None:
    """Give the mean of what was measured once a seed, and from three seeds on its range."""
    known = [figure for figure in figures if math.isfinite(figure)]
    if not known:
        return None
    value = sum(known) / len(known)
    if len(known) < LEAST_SEEDS:
        return Interval(value=value)
    half = t_quantile(LEVEL, len(known) - 1) * float(np.std(known, ddof=1)) / math.sqrt(len(known))
    return Interval(value=value, low=max(0.0, value - half), high=value + half)


def _from_0_to_1(score: Interval) -> Interval:
    if score.low is None or score.high is None:
        return score
    return Interval(value=score.value, low=max(0.0, score.low), high=min(1.0, score.high))


def _tokens_per_second(outcome: Outcome) -> float:
    return outcome.tokens / outcome.training_seconds if outcome.training_seconds > 0 else 0.0


def _newest(figures: Sequence[int | None]) -> int | None:
    return next((figure for figure in reversed(figures) if figure is not None), None)
