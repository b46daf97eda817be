"""From what a person names (a model, a file of rows, a goal, a card) to the advice, and to a recipe that follows it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from pegbox_hardware.forecast.memory import Learned
from pegbox_hardware.machine import Machine, probe
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.profiles import BadProfiles, Profiles, load_profiles
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.choose import advise
from pegbox_methods.advice.goals import Goal
from pegbox_methods.advice.places import having, places_of, planned_card, planned_memory
from pegbox_methods.advice.ranking import RANKED
from pegbox_methods.advice.records import Advice, Place
from pegbox_methods.advice.teams import with_team
from pegbox_methods.home import user_path
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import complete_recipe, recipe_from_table
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card, method_names
from pegbox_methods.suitability import Conditions, bitsandbytes_is_here, packed_by
from pegbox_runs.data_card import data_card
from pegbox_runs.learned import learned_for
from pegbox_runs.models import FoundModel, find_config, named_model
from pegbox_runs.printable import one_line


def advise_for(
    name: str,
    *,
    file: Path | None,
    goal: Goal,
    gpu: str | None = None,
    vram_gib: float | None = None,
    price_per_hour: float | None = None,
    devices: int | None = None,
    nodes: int = 1,
    network_gbit: float | None = None,
) -> Advice:
    """Advise for a model by its name, on this machine or on a card that is named.

    `devices`: how many of each machine carry the run, at least where they help; None: of this machine as many as pay.
    Of the methods, those alone are imported that the profile table ranks, so that no guest can stand in the way.
    Raises: Refusal: the model, its config, the rows or the card can't be found or used.
    """
    if price_per_hour is not None and not 0 <= price_per_hour < float("inf"):
        raise Refusal(f"--price-per-hour {price_per_hour:g}: a price is 0 or more.")
    profiles = _profiles()
    place = planned_card(gpu, profiles) if gpu is not None else None
    if vram_gib is not None:
        place = planned_memory(vram_gib, profiles)
    model = find_config(named_model(name))
    shape = _shape(model)
    here = None if place else probe()
    where: Place | tuple[Place, ...] = place if place else places_of(here, profiles) if here else ()
    if devices is not None or nodes > 1 or network_gbit is not None:
        kinds = (where,) if isinstance(where, Place) else having(where, devices)
        where = tuple(
            with_team(one, profiles, devices=devices, nodes=nodes, network_gbit=network_gbit) for one in kinds
        )
    installed = method_names()
    advice = advise(
        where,
        shape,
        None if file is None else data_card(user_path(str(file)), model),
        goal,
        [find_card(name) for name in installed if name in RANKED],
        profiles=profiles,
        given=Conditions(packed_by=packed_by(model.config), bitsandbytes=place is not None or bitsandbytes_is_here()),
        others=[name for name in installed if name not in RANKED],
        learned=learned_here(here) if here else None,
        price_per_hour=price_per_hour,
    )
    return msgspec.structs.replace(advice, warnings=(model.told, *advice.warnings)) if model.told else advice


def recipe_of(advice: Advice, name: str, file: Path) -> Recipe:
    """Write the advice as a complete recipe, checked by the reader of recipes.

    Raises: Refusal: a value that isn't accepted, which would be a mistake of the advice.
    """
    table: dict[str, Any] = {"model": {"name": name}, "rows": {"file": str(user_path(str(file)))}, **advice.settings}
    recipe = recipe_from_table(table, file="the advice", folder=Path.cwd())
    return complete_recipe(recipe, find_card(recipe.method.name), file="the advice")


def _shape(model: FoundModel) -> ModelShape:
    shape, why = shape_of(model.config)
    if shape is None:
        raise Refusal(f"{model.name}: {one_line(why, 300)}. Nothing can be forecast without it; mend its config.json.")
    return shape


def _profiles() -> Profiles:
    try:
        return load_profiles()
    except BadProfiles as error:
        raise Refusal(str(error)) from None


def learned_here(machine: Machine) -> dict[str, Learned]:
    """Collect what probes taught of this machine's cards, with the drivers and the torch that are here."""
    torch = _installed("torch")
    if torch is None:
        return {}
    found = {gpu.name: learned_for(gpu.name, gpu.driver, torch) for gpu in machine.gpus}
    return {name: learned for name, learned in found.items() if learned is not None}


def _installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
