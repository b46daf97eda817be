"""Whether an evaluation measures the model alone: the same rows twice, with chance running on in between."""

from __future__ import annotations

import math

import torch

from pegbox_methods.events import Check
from pegbox_worker.random_state import chance_put_aside
from pegbox_worker.sentinel.words import named
from pegbox_worker.trainer import MeasuredTrainer

NAME = "evaluation-repeatable"
ON_A_CARD = 1e-3
"""Relative. Kernels of a card may add up in another order each time, in 16 bits; dropout moves a loss by far more. A
processor repeats itself exactly."""
COLUMNS = ("input_ids", "labels")


def check_repeatable(trainer: MeasuredTrainer) -> Check:
    """Evaluate the first held-out micro-batch twice. Draws nothing from training's chance, and counts nowhere."""
    rows = trainer.eval_dataset
    if rows is None or not len(rows):
        return Check(name=NAME, verdict="not-applicable", text="there are no held-out rows")
    model, shape = trainer.model, trainer.batch_shape
    was_training = model.training
    with chance_put_aside(), torch.no_grad():
        model.eval()
        still_training = [name or "the model" for name, part in model.named_modules() if part.training]
        # Chance was put aside, so that both draw their own: a dropout that is on shows.
        losses = [] if still_training else [_loss(trainer) for _ in range(2)]
    model.train(was_training)
    trainer.batch_shape = shape
    if still_training:
        text = (
            f"{len(still_training)} parts of the model stay in training mode in evaluations: {named(still_training)}. "
            "Their dropout falsifies every evaluation; the method's model must heed eval()"
        )
        return Check(name=NAME, verdict="unsure", text=text)
    tolerance = 0.0 if trainer.args.device.type == "cpu" else ON_A_CARD
    once, again = losses
    if not math.isclose(once, again, rel_tol=tolerance):
        text = (
            f"the same rows gave a loss of {once:.6f}, and then of {again:.6f}: evaluations draw at random, so small "
            "differences between them mean nothing. Look for a dropout that evaluations don't turn off"
        )
        return Check(name=NAME, verdict="unsure", text=text)
    return Check(name=NAME, verdict="passed", text=f"the same rows twice: a loss of {once:.4f} both times")


def _loss(trainer: MeasuredTrainer) -> float:
    size = trainer.args.per_device_eval_batch_size
    columns = trainer.eval_dataset[:size]
    rows = [dict(zip(COLUMNS, pair, strict=True)) for pair in zip(*(columns[name] for name in COLUMNS), strict=True)]
    inputs = trainer._prepare_inputs(trainer.data_collator(rows))
    return float(trainer.compute_loss(trainer.model, inputs))
