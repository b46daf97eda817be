"""How many steps a run takes, after which of them it looks at the held-out rows, and how many tokens that makes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pegbox_methods.advice.walk import Walk, walk_through
from pegbox_methods.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """Counts of optimizer steps."""

    steps: int
    every: int
    """Steps between two evaluations, or between two checkpoints where there are no held-out rows."""
    warmup: int


@dataclass(frozen=True)
class Amount:
    """How much a run computes, evaluations included."""

    steps: int
    tokens: int
    """Trained on, of all epochs, without padding."""
    evaluated_tokens: int
    """Of all evaluations."""
    row_tokens: float
    """Mean length of what is one row of a micro-batch."""


def plan(recipe: Recipe, rows: int) -> Plan:
    """Count the steps for a number of training rows; a last, partial batch of an epoch makes a step too."""
    found = _walk(recipe, rows)
    warmup = math.ceil(recipe.training.warmup * found.steps)
    # The first step of a warm-up has rate 0: a warm-up of one step would only waste it.
    return Plan(steps=found.steps, every=found.every, warmup=warmup if warmup > 1 else 0)


def amount(recipe: Recipe, trained: int, held_out: int, mean_tokens: float) -> Amount:
    """Count the tokens of a run on so many rows of an epoch, at least one, of such a mean length after the cut."""
    units, unit_tokens = trained, mean_tokens
    if recipe.training.order == "packed":
        units = max(1, math.ceil(trained * mean_tokens / recipe.training.length))
        unit_tokens = trained * mean_tokens / units
    found = _walk(recipe, units)
    return Amount(
        steps=found.steps,
        tokens=round(found.seen * unit_tokens),
        evaluated_tokens=round(held_out * mean_tokens * found.looks),
        row_tokens=max(1.0, unit_tokens),
    )


def _walk(recipe: Recipe, rows: int) -> Walk:
    training = recipe.training
    batch = training.micro_batch * training.accumulation
    return walk_through(rows, batch, training.epochs, max_steps=training.max_steps, every=recipe.evaluation.every)
