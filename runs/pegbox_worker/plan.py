"""How many steps a run takes, and after which of them it looks at the held-out rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pegbox_methods.recipe import Recipe

LOOKS = 4
"""Evaluations in a run whose recipe names no distance between them."""


@dataclass(frozen=True)
class Plan:
    """Counts of optimizer steps."""

    steps: int
    every: int
    """Steps between two evaluations, or between two checkpoints where there are no held-out rows."""
    warmup: int


def plan(recipe: Recipe, rows: int) -> Plan:
    """Count the steps for a number of training rows; a last, partial batch of an epoch makes a step too."""
    training = recipe.training
    micro_batches = math.ceil(rows / training.micro_batch)
    steps = math.ceil(training.epochs * math.ceil(micro_batches / training.accumulation))
    if training.max_steps is not None:
        steps = min(steps, training.max_steps)
    every = recipe.evaluation.every or math.ceil(steps / LOOKS)
    warmup = math.ceil(training.warmup * steps)
    # The first step of a warm-up has rate 0: a warm-up of one step would only waste it.
    return Plan(steps=steps, every=every, warmup=warmup if warmup > 1 else 0)
