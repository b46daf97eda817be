"""Where recipe, method, model, installation and device don't go together, told before anything is fetched."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_hardware.shape import ends_like, is_pattern
from pegbox_methods.abilities import inabilities, packs_base
from pegbox_methods.card import Card
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Fault
from pegbox_methods.suitability import Conditions, eight_bit_obstacle, obstacle
from pegbox_runs.models import FoundModel
from pegbox_runs.printable import printable


def misfits(recipe: Recipe, card: Card, model: FoundModel, given: Conditions, *, file: str) -> Iterator[Fault]:
    """Find where a complete recipe doesn't go together with what it would be run with.

    `given`: the model, the installation and the device; `file` is the name that faults are reported under.
    """
    if model.positions is not None and recipe.training.length > model.positions:
        yield Fault(
            file=file,
            key="training.length",
            value=str(recipe.training.length),
            problem=f"the model was built for {model.positions} tokens; expected at most that",
        )
    yield from _unknown_targets(recipe, model, file)
    yield from inabilities(recipe, card, file=file, processes=recipe.devices.processes)
    packs = packs_base(recipe, card)
    if (found := obstacle(card, given, packs=packs)) is not None:
        asked = packs and not card.needs.quantized_base
        key, value = ("model.quantization", recipe.model.quantization) if asked else ("method.name", card.name)
        yield Fault(file=file, key=key, value=repr(value), problem=f"{printable(found.why)}. {found.remedy}")
    if recipe.training.optimizer.endswith("8bit") and (found := eight_bit_obstacle(given)) is not None:
        value = repr(recipe.training.optimizer)
        yield Fault(file=file, key="training.optimizer", value=value, problem=f"{found.why}. {found.remedy}")


def _unknown_targets(recipe: Recipe, model: FoundModel, file: str) -> Iterator[Fault]:
    """Name the matrices a model has before anything heavy is loaded, where its shape is known.

    A pattern may tell layers apart, which the shape doesn't: the worker holds it against the model itself.
    """
    targets = recipe.method.settings.get("targets")
    if model.shape is None or not isinstance(targets, list):
        return
    known = model.shape.matrices
    for name in targets:
        if not is_pattern(name) and not any(ends_like(one, name) for one in known):
            yield Fault(
                file=file,
                key="method.settings.targets",
                value=repr(name),
                problem=f"the model has no such matrix; its linear maps are {', '.join(known)}",
            )
