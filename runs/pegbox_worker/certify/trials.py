"""Checks of how a method trains: at its own rate, in other formats, with other optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from pegbox_methods.abilities import inabilities
from pegbox_methods.card import Ability
from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import Attached
from pegbox_worker.certify.case import Case
from pegbox_worker.certify.saving import refuse_packed_merge
from pegbox_worker.certify.tensors import BaseWeights, Tensors, tensors_of
from pegbox_worker.certify.training import Trained
from pegbox_worker.certify.verdict import Shortfall, Verdict, passed, some

LEAST_FALL = 0.01
"""Of the loss. The rows are the same before and after, so that all of a fall is learned."""
LONGER = 8
"""A method that learns slowly gets so many times the steps."""
FEW_STEPS = 2
"""Where one half of a pair begins at zero, the other half gets its first gradient in the second."""
OTHER_OPTIMIZERS = ("adafactor", "paged_adamw_8bit")
OPTIMIZER_STEPS = 2
SAME_GRADIENT = 1e-3
"""Largest difference relative to a tensor's largest gradient; what is computed again rounds the same on a CPU."""


def learns(case: Case) -> Verdict:
    """Look for a clear fall of the loss on held-out rows, at the card's own learning rate."""
    before, after, steps = case.untrained.loss, case.main.loss, case.steps
    if not after <= before * (1 - LEAST_FALL):
        steps *= LONGER
        recipe = case.recipe(steps)
        attached = case.attach(recipe)
        case.train(recipe, attached)
        after = case.held_out_loss(attached)
    said = f"held-out loss {before:.3f} to {after:.3f} in {steps} steps at {case.card.learning_rate:g}"
    if not after <= before * (1 - LEAST_FALL):
        raise Shortfall(said)
    return passed(said)


def four_bit(case: Case) -> Verdict:
    """Take a few steps on a packed base."""
    if "4-bit" in case.card.cannot:
        return refused(case, "4-bit", case.recipe(case.steps, packed=True))
    if case.bench.no_packing is not None:
        return Verdict("not-applicable", case.bench.no_packing)
    recipe = _allowed(case, case.recipe(case.steps, packed=True))
    base = case.bench.base(packed=True)
    weights = BaseWeights(base)
    run = case.train(recipe, case.attach(recipe, base), stop_after=FEW_STEPS)
    expected = _expected(case, run)
    without = sorted(expected - run.watch.with_gradient())
    if without:
        raise Shortfall(f"no gradient in two steps: {some(without)}")
    _refuse_unmoved(run, expected)
    if "base" not in case.card.cannot:
        changed = weights.changed(run.attached.model)
        if changed:
            raise Shortfall(f"the packed base model isn't what it was: {some(changed)}")
    refuse_packed_merge(case, run.attached.model)
    return passed(f"{FEW_STEPS} steps; merging there is refused")


def checkpointing(case: Case) -> Verdict:
    """Compare the gradients of two steps with and without recomputed activations."""
    if "checkpointing" in case.card.cannot:
        return refused(case, "checkpointing", case.recipe(case.steps, activation_checkpointing="on"))
    settings = without_dropout(case)
    recipe = _allowed(case, case.recipe(case.steps, settings, activation_checkpointing="on"))
    other = case.attach(recipe)
    expected = _plain_gradients(case, settings, other)
    run = case.train(recipe, other, stop_after=OPTIMIZER_STEPS)
    if not any(getattr(part, "gradient_checkpointing", False) for part in other.model.modules()):
        raise Shortfall("the trainer was asked for activation checkpointing, and no part of the model does it")
    worst = 0.0
    for step, (here, there) in enumerate(zip(expected, run.watch.gradients, strict=True), start=1):
        for name in here.keys() | there.keys():
            gap = _gap(here.get(name), there.get(name))
            if gap > SAME_GRADIENT:
                raise Shortfall(f"step {step}: the gradient of {name} differs by {gap:.1e} of its largest value")
            worst = max(worst, gap)
    said = "are equal" if worst == 0 else f"differ by {worst:.0e} of the largest one"
    return passed(f"gradients of two steps {said}")


def bfloat16(case: Case) -> Verdict:
    """Take a few steps on a base held in bfloat16, under autocast to it, as on a GPU; what trains stays in float32."""
    asked = case.recipe(case.steps, precision="bfloat16")
    if "bfloat16" in case.card.cannot:
        return refused(case, "bfloat16", asked)
    recipe = _allowed(case, asked)
    run = case.train(recipe, case.attach(recipe, case.base(torch.bfloat16)), stop_after=FEW_STEPS)
    _refuse_unmoved(run, _expected(case, run))
    short = [name for name, weight in run.watch.before.items() if weight.dtype is not torch.float32]
    if short:
        raise Shortfall(f"trained weights aren't kept in float32: {some(short)}")
    return passed(f"{FEW_STEPS} steps")


def optimizer(case: Case) -> Verdict:
    """Take two steps with each of the other optimizers."""
    brought = case.untrained.attached.optimizer
    if "optimizer" in case.card.cannot:
        if brought is None:
            raise Shortfall("the card says it can't, but attach brings no optimizer, so the recipe's is taken")
        return refused(case, "optimizer", case.recipe(case.steps, optimizer=OTHER_OPTIMIZERS[0]))
    tried = [name for name in OTHER_OPTIMIZERS if not name.endswith("8bit") or case.bench.no_packing is None]
    for name in tried:
        recipe = _allowed(case, case.recipe(case.steps, optimizer=name))
        run = case.train(recipe, case.attach(recipe), stop_after=OPTIMIZER_STEPS)
        asked, _ = Trainer.get_optimizer_cls_and_kwargs(run.trainer.args, run.trainer.model)
        taken = getattr(run.trainer.optimizer, "optimizer", run.trainer.optimizer)
        if not isinstance(taken, asked):
            raise Shortfall(f'the recipe asks for "{name}", and the run took {type(taken).__name__}')
        _refuse_unmoved(run, _expected(case, run), f"with {name} ")
    return passed(", ".join(tried))


def refused(case: Case, ability: Ability, recipe: Recipe, *, processes: int = 1) -> Verdict:
    """See that a recipe which asks for what the method can't is refused with the card's reason.

    Raises: Shortfall: it isn't.
    """
    reason = case.card.cannot[ability]
    if not any(reason in fault.problem for fault in inabilities(recipe, case.card, file="recipe", processes=processes)):
        raise Shortfall("the card says it can't, and no recipe that asks for it would be refused")
    return Verdict("cannot", reason)


def without_dropout(case: Case) -> dict[str, Any]:
    """Turn dropout off where the method has some."""
    return {setting.name: 0.0 for setting in case.card.settings if "dropout" in setting.name and setting.accepts(0.0)}


def _allowed(case: Case, recipe: Recipe) -> Recipe:
    """Pass a recipe on that nothing on the card speaks against. Raises: Shortfall."""
    faults = [fault.problem for fault in inabilities(recipe, case.card, file="recipe")]
    if faults:
        raise Shortfall(f"a recipe for it would be refused: {faults[0]}")
    return recipe


def _expected(case: Case, run: Trained) -> set[str]:
    """Name the trained tensors that shall learn: without a gradient in the main run is another check's matter."""
    try:
        known = case.main.run.watch.with_gradient()
    except Exception:  # noqa: BLE001  # told where the main run is what is checked
        return set(run.watch.before)
    if run.watch.before.keys() != case.main.run.watch.before.keys():
        raise Shortfall("other weights train here than otherwise")
    return known


def _refuse_unmoved(run: Trained, expected: set[str], how: str = "") -> None:
    still = sorted(expected.intersection(run.watch.unmoved()))
    if still:
        raise Shortfall(f"{how}these weights didn't move: {some(still)}")


def _plain_gradients(case: Case, settings: Mapping[str, Any], other: Attached) -> list[Tensors]:
    """Give the gradients of the first steps without recomputed activations, and begin `other` from the same weights.

    A half that draws anew is another check's matter. Without dropout the main run took these very steps.
    """
    recipe = case.recipe(case.steps, settings)
    if recipe == case.untrained.recipe:
        _copy_into(case.untrained.after_attach, tensors_of(other.model))
        return case.main.run.watch.gradients
    plain = case.attach(recipe)
    _copy_into(tensors_of(plain.model), tensors_of(other.model))
    return case.train(recipe, plain, stop_after=OPTIMIZER_STEPS).watch.gradients


def _copy_into(source: Tensors, target: Mapping[str, Tensor]) -> None:
    for name, tensor in target.items():
        if name in source and tensor.is_floating_point() and tensor.shape == source[name].shape:
            tensor.data.copy_(source[name].data)


def _gap(one: Tensor | None, other: Tensor | None) -> float:
    """Give the largest difference relative to the largest value; one that is missing counts as zeros."""
    if one is None or other is None:
        there = one if one is not None else other
        return float("inf") if there is not None and bool(there.any()) else 0.0
    largest = max(float(one.abs().max()), torch.finfo(one.dtype).tiny)
    return float((one - other).abs().max()) / largest
