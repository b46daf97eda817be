"""Checks of which weights there are, which train, and which stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pegbox_hardware.shape import ModelShape
from pegbox_methods.refusal import Refusal
from pegbox_methods.setting import Setting
from pegbox_worker.certify.case import Case
from pegbox_worker.certify.tensors import EQUAL, differing, distance, tensors_of
from pegbox_worker.certify.verdict import Shortfall, Verdict, apart, passed, sentence_of, some, tensors
from pegbox_worker.checkpoint import trained_weights

COUNTED_STEPS = 100
MOST_VARIATIONS = 14
"""Of the settings; each costs an attachment."""


def count(case: Case) -> Verdict:
    """Hold the footprint against what trains, at the default settings and at others that the method takes."""
    compared, weights = 0, 0
    for settings in _variations(case.card.settings, case.bench.shape):
        named = "".join(f" with {name} = {value!r}" for name, value in settings.items())
        try:
            recipe = case.recipe(COUNTED_STEPS, settings)
            attached = case.attach_unseen(recipe)
        except Refusal:
            if not settings:
                raise
            continue  # a value that doesn't go with this model, or with another setting
        except Exception as error:
            raise Shortfall(f"attach{named}: {sentence_of(error)}") from error
        told = _told(case, recipe.method.settings, named)
        trains = sum(weight.numel() for weight in trained_weights(attached.model).values())
        if told != trains:
            raise Shortfall(f"the footprint{named} says {told:,} trainable weights, and {trains:,} are")
        compared, weights = compared + 1, weights or trains
    others = f"; with {compared - 1} other values of its settings too" if compared > 1 else ""
    return passed(f"{weights:,} weights{others}")


def start(case: Case) -> Verdict:
    """Compare the untrained model's logits with the base model's."""
    begin = case.untrained
    gap = distance(begin.logits, begin.base_logits)
    said = apart(gap)
    reason = case.card.cannot.get("start")
    if reason is None:
        if gap > EQUAL:
            raise Shortfall(f"{said}, and the card claims that nothing has changed yet")
        return passed(said)
    if gap <= EQUAL:
        raise Shortfall(f"the card says it can't, but it does: {said}")
    return Verdict("cannot", reason)


def gradients(case: Case) -> Verdict:
    """Look for a gradient of every trained tensor in the first two steps."""
    watch = case.main.run.watch
    without = sorted(watch.before.keys() - watch.with_gradient())
    if without:
        raise Shortfall(f"no gradient in two steps: {some(without)}, of {tensors(len(watch.before))} that train")
    return passed(tensors(len(watch.before)))


def own(case: Case) -> Verdict:
    """See that a run changes what trains, and nothing else."""
    begin, model = case.untrained, case.main.run.attached.model
    changed = differing(begin.after_attach, tensors_of(model))
    others = [name for name in changed if name not in begin.trains]
    if others:
        raise Shortfall(f"the training changed what doesn't train: {some(others)}")
    if not changed:
        raise Shortfall("the training changed nothing")
    return passed(f"{len(changed)} of {tensors(len(begin.after_attach))} changed")


def base(case: Case) -> Verdict:
    """Compare the base model's own parameters before attaching with the same ones after training."""
    changed = case.untrained.base.changed(case.main.run.attached.model)
    reason = case.card.cannot.get("base")
    if reason is None:
        if changed:
            raise Shortfall(f"the base model's own weights aren't what they were: {some(changed)}")
        return passed(f"all of its {len(case.untrained.base)} tensors")
    if not changed:
        raise Shortfall("the card says it can't, but every weight of the base model is what it was")
    return Verdict("cannot", reason)


def _told(case: Case, settings: Mapping[str, Any], named: str) -> int:
    """Ask the card how many weights train. Raises: Shortfall: its footprint raises, or is none."""
    try:
        return case.card.price(case.bench.shape, settings).trainable_weights
    except Exception as error:
        raise Shortfall(f"the footprint{named}: {sentence_of(error)}") from error


def _variations(settings: tuple[Setting, ...], shape: ModelShape) -> Iterator[dict[str, Any]]:
    """Give no settings at all, then one changed setting after the other."""
    yield {}
    changed = (
        {setting.name: value}
        for setting in settings
        for value in _other_values(setting, shape)
        if value != setting.default and setting.accepts(value)
    )
    yield from (variation for variation, _ in zip(changed, range(MOST_VARIATIONS), strict=False))


def _other_values(setting: Setting, shape: ModelShape) -> Iterator[Any]:
    names = list(shape.matrices)
    match setting.kind:
        case "whole":
            yield from (setting.default // 2, setting.default * 2 or 1)
        case "number":
            yield setting.default * 2 or setting.maximum
        case "switch":
            yield not setting.default
        case "wholes":
            yield from ([5], [3, 4, 7])
        case _:
            yield from setting.choices
            yield [names[0], names[-1]]
