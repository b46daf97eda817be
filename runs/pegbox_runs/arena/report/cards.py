"""What is told of one contestant alone: its settings, its rate, its seeds, and why it failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from pegbox_runs.arena.report.charts.search_chart import search_chart
from pegbox_runs.arena.report.leaderboard import memory_of, place
from pegbox_runs.arena.report.wording import METRICS, STANDINGS, rate_by
from pegbox_runs.arena.results import ContestantResult, Results, SeedResult
from pegbox_runs.reporting import digits
from pegbox_runs.reporting.phrases import setting


@dataclass(frozen=True)
class SeedRow:
    """One training that counts, as text."""

    seed: int
    loss: str
    loss_all: str
    kept_step: str
    memory: str
    seconds: str
    recipe: str
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Card:
    """One contestant, as text."""

    number: int
    name: str
    method: str
    place: str
    standing: str
    failed: bool
    why: str
    facts: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    trials: tuple[tuple[str, str, str], ...]
    """Rate, steps, and loss or what became of it."""
    search: Markup | None
    seeds: tuple[SeedRow, ...]
    remarks: tuple[str, ...]


def cards(results: Results) -> tuple[Card, ...]:
    """Make a card for each contestant, in the results' order."""
    return tuple(_card(one, number, results) for number, one in enumerate(results.contestants, 1))


def seed_row(seed: SeedResult, results: Results) -> SeedRow:
    """Write one training that counts."""
    return SeedRow(
        seed=seed.seed,
        loss=digits.loss(seed.loss),
        loss_all=digits.loss(seed.loss_all),
        kept_step=f"{seed.kept_step:,}",
        memory=memory_of(seed, results),
        seconds=digits.seconds_once(seed.training_seconds),
        recipe=seed.recipe,
        changed=seed.changed,
    )


def _card(one: ContestantResult, number: int, results: Results) -> Card:
    return Card(
        number=number,
        name=one.name,
        method=one.method,
        place=place(one, results),
        standing="out of memory" if one.out_of_memory else STANDINGS[one.standing],
        failed=one.standing == "failed",
        why=one.why,
        facts=tuple(_facts(one)),
        settings=tuple((key, setting(value)) for key, value in one.settings.items()),
        trials=tuple(
            (
                digits.few_digits(trial.rate),
                f"{trial.steps:,}",
                digits.loss(trial.loss) if trial.loss is not None else trial.why,
            )
            for trial in one.trials
        ),
        search=search_chart(one, number),
        seeds=tuple(seed_row(seed, results) for seed in one.seeds),
        remarks=one.remarks,
    )


def _facts(one: ContestantResult) -> Iterator[tuple[str, str]]:
    yield "Learning rate", rate_by(one)
    if one.loss is not None:
        yield "Loss", digits.together(digits.plain(one.loss)) + " nats per token"
    if one.base_loss is not None:
        yield "Its base model", f"{digits.loss(one.base_loss)} before the training"
    if one.change is not None:
        yield "What training changed", digits.together(digits.plain(one.change, sign=True)) + " nats per token"
    if one.forgetting is not None:
        yield "Forgetting", digits.together(digits.plain(one.forgetting, sign=True)) + " nats per token"
    for metric, score in one.scores.items():
        before = one.base_scores.get(metric)
        from_ = "" if before is None else f", before the training {100 * before:.1f} %"
        yield METRICS[metric], digits.together(digits.share(score)) + from_
    if one.device_peak is not None:
        yield "Peak memory of the GPU", digits.memory(one.device_peak)
    if one.process_peak is not None:
        yield "Peak memory of the process", digits.memory_at_most(one.process_peak)
    if one.training_seconds is not None:
        yield "Training time", digits.together(digits.seconds(one.training_seconds))
    if one.tokens_per_second is not None:
        yield "Tokens per second", digits.together(digits.rate(one.tokens_per_second))
    if one.trainable_weights is not None:
        yield "Trainable weights", digits.weights(one.trainable_weights)
    if one.adapter_bytes is not None:
        yield "Adapter", digits.bytes_(one.adapter_bytes)
