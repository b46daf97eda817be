"""Who takes part: methods named on a command line, or recipes of which each is one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from pegbox_methods.abilities import inabilities
from pegbox_methods.recipe import Method, Recipe
from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_methods.registry import find_card, method_names
from pegbox_runs.arena.asking.fairness import refuse_unlike
from pegbox_runs.arena.spec import MOST_CONTESTANTS, MOST_SEEDS, NAME
from pegbox_runs.printable import one_line

ACCEPTED = "expected METHOD or NAME=METHOD, parted by commas, as in lora,dora,b=lora"
NAMES = "small letters, digits and hyphens, at most 40 of them"
SEEDS = 2**32


def contestants_named(recipe: Recipe, text: str) -> dict[str, Recipe]:
    """Make a contestant of each method that is named, all by one recipe: `lora,dora,b=lora`.

    The recipe's method settings, learning rate and quantization hold for contestants of the recipe's own method;
    others have their card's.
    Raises: Refusal: a method nobody knows, a name that can't be or is there twice; with every fault found.
    """
    found: dict[str, Recipe] = {}
    faults: list[str] = []
    known = method_names()
    for item in text.split(","):
        name, equals, method = (part.strip() for part in item.partition("="))
        method = method if equals else name
        faults += _faults(item.strip(), name, method, named=bool(equals), known=known, taken=found)
        found.setdefault(name, _recipe_for(method, recipe) if method in known else recipe)
    if len(found) > MOST_CONTESTANTS:
        faults.append(f"{len(found)} contestants are named, and a comparison has {MOST_CONTESTANTS} at most")
    if faults:
        raise Refusal("\n".join(f"--methods {fault}." for fault in dict.fromkeys(faults)))
    return found


def contestants_of(recipes: Sequence[tuple[Recipe, str]]) -> dict[str, Recipe]:
    """Make a contestant of each recipe, named by its file, or by its method where the file's name tells nothing.

    Raises: Refusal: they are too many, or not alike in what must be alike.
    """
    if not 0 < len(recipes) <= MOST_CONTESTANTS:
        raise Refusal(f"{len(recipes)} recipes are given, and a comparison has from 1 to {MOST_CONTESTANTS}.")
    refuse_unlike([(file, recipe) for recipe, file in recipes])
    found: dict[str, Recipe] = {}
    for name, (recipe, _) in zip(_told_apart(recipes), recipes, strict=True):
        found[_free(name, found)] = recipe
    return found


def seeds_of(recipe: Recipe, count: int) -> tuple[int, ...]:
    """Give the seeds of so many trainings: the recipe's own, and those behind it. Raises: Refusal: too many."""
    if not 1 <= count <= MOST_SEEDS:
        raise Refusal(f"--seeds {count}: expected from 1 to {MOST_SEEDS} trainings of each contestant.")
    return tuple((recipe.seeds.training + number) % SEEDS for number in range(count))


def _faults(
    item: str, name: str, method: str, *, named: bool, known: Collection[str], taken: Collection[str]
) -> Iterator[str]:
    shown = one_line(item, 80)
    if not method or not name:
        yield f'"{shown}": {ACCEPTED}'
        return
    if method not in known:
        yield f'{shown}: no method is called "{one_line(method, 60)}"; {did_you_mean(method, known)}'
    elif not NAME.fullmatch(name):
        instead = "" if named else f"; give it one, as in a={one_line(method, 60)}"
        yield f"{shown}: a contestant's name has {NAMES}{instead}"
    elif name in taken:
        yield f"{shown}: {name} is there twice; give the second a name of its own, as in {_free(name, taken)}={method}"


def _recipe_for(method: str, recipe: Recipe) -> Recipe:
    """Give the recipe of another method than the recipe's own: what that one was tuned to, it isn't."""
    if method == recipe.method.name:
        return recipe
    other = msgspec.structs.replace(
        recipe,
        method=Method(name=method),
        training=msgspec.structs.replace(recipe.training, learning_rate=None),
    )
    return _unpacked_where_needed(other)


def _unpacked_where_needed(recipe: Recipe) -> Recipe:
    """Let a method hold the base as it can, where the recipe's way is one that it can't."""
    try:
        card = find_card(recipe.method.name)
    except Refusal:
        return recipe  # told with all other faults, when the contestants are checked
    if any(fault.key == "model.quantization" for fault in inabilities(recipe, card, file="")):
        return msgspec.structs.replace(recipe, model=msgspec.structs.replace(recipe.model, quantization="auto"))
    return recipe


def _told_apart(recipes: Sequence[tuple[Recipe, str]]) -> list[str]:
    """Name each; those of one name by their ranks, where each has another, else by the numbers of their files."""
    names = [_name_of(recipe, file) for recipe, file in recipes]
    told = []
    for name, (recipe, file) in zip(names, recipes, strict=True):
        alike = [one for other, (one, _) in zip(names, recipes, strict=True) if other == name]
        ranks = [str(one.method.settings.get("rank", "")) for one in alike]
        numbered = re.fullmatch(rf"\d\d-{re.escape(name)}", Path(file).stem.lower())
        if len(alike) > 1 and all(rank.isdecimal() for rank in ranks) and len(set(ranks)) == len(ranks):
            tail = f"-rank-{recipe.method.settings['rank']}"
            told.append(name[: 40 - len(tail)] + tail)
        else:
            told.append(Path(file).stem.lower()[:40].rstrip("-") if len(alike) > 1 and numbered else name)
    return told


def _name_of(recipe: Recipe, file: str) -> str:
    """Name a recipe's contestant: `fast.toml` is fast; a run's recipe.toml, and the wizard's 01-dora.toml, are dora."""
    method = re.sub(r"[^a-z0-9-]+", "-", recipe.method.name.lower()).strip("-") or "contestant"
    stem = re.sub(r"[^a-z0-9-]+", "-", Path(file).stem.lower()).strip("-")
    told = stem not in ("", "recipe") and not re.fullmatch(rf"\d\d-{re.escape(method)}", stem)
    return (stem if told else method)[:40].rstrip("-")


def _free(name: str, taken: Collection[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free = f"{name[: 39 - len(str(number))]}-{number}"
        number += 1
    return free
