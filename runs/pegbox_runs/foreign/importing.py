"""Reading another tool's recipe into one of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import complete_recipe, recipe_from_table
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs.foreign import axolotl, llama_factory
from pegbox_runs.foreign.carrying import Carrying, Imported
from pegbox_runs.foreign.hiding import hidden, hidden_text
from pegbox_runs.foreign.reading import read_yaml
from pegbox_runs.foreign.tables import Tables
from pegbox_runs.printable import one_line, printable

MOST_FAULTS = 100
"""Values that are out of our ranges, and taken back one after the other."""
OFF = (False, 0, 0.0, -1, "none", "None", "false")
Reader = Callable[[Carrying, tuple[Path, ...]], None]


def import_recipe(path: Path) -> Imported:
    """Read a recipe of Axolotl or of LLaMA-Factory.

    Raises: Refusal: it can't be read, is of neither tool, or asks for something that isn't in Pegbox at all.
    """
    given = read_yaml(path)
    ours, reader, defaults = _tool(path, given)
    carrying = Carrying(given)
    folders = tuple(dict.fromkeys((Path.cwd(), path.absolute().parent)))
    reader(carrying, folders)
    _rest(carrying, ours)
    for to, value in defaults.items():
        carrying.assume(to, value, f"{ours.tool}'s default")
    if carrying.at("split.file") is not None:
        carrying.put("split.share", 0.0)
    carrying.table = hidden(carrying.table)
    recipe = _valid(carrying, path)
    return Imported(
        tool=ours.tool,
        source=ours.source,
        entries=tuple(carrying.entries[key] for key in _in_order(carrying)),
        assumed=tuple(carrying.assumed),
        to_do=tuple(hidden_text(sentence) for sentence in carrying.to_do),
        recipe=recipe,
    )


def _tool(path: Path, given: dict[str, Any]) -> tuple[Tables, Reader, dict[str, Any]]:
    """Tell by its keys whose recipe it is. Raises: Refusal."""
    odd = next((key for key in given if "[" in key), None)
    if odd is not None:
        raise Refusal(f"{printable(str(path))}: the key {one_line(odd, 80)} isn't one of any tool. Take it out.")
    if given.get("base_model") and not given.get("model_name_or_path"):
        return axolotl.TABLES, axolotl.read, axolotl.DEFAULTS
    if given.get("model_name_or_path") and not given.get("base_model"):
        return llama_factory.TABLES, llama_factory.read, llama_factory.DEFAULTS
    raise Refusal(
        f"{printable(str(path))}: is neither a recipe of Axolotl, which names its model as base_model, nor of "
        "LLaMA-Factory, which names it as model_name_or_path."
    )


def _rest(carrying: Carrying, ours: Tables) -> None:
    """See to the keys that no choice was made of."""
    does = {key: group.why for group in ours.does for key in group.keys}
    off = {key: group.why for group in ours.off for key in group.keys}
    left = {key: group.why for group in ours.left for key in group.keys}
    for key in carrying.waiting():
        if key in does:
            carrying.same(key, does[key])
        elif key in off and carrying.given[key] in OFF:
            carrying.same(key, "it is off, as it is here")
        elif key in off:
            carrying.leave(key, off[key])
        elif key in left:
            carrying.leave(key, left[key])
        else:
            carrying.leave(key, f"it isn't a key of {ours.tool}'s that Pegbox knows; see whether it is misspelt")


def _valid(carrying: Carrying, path: Path) -> Recipe:
    """Make the recipe; a value that is out of our range is taken back, and its key named as left.

    Raises: Refusal: what is left isn't a recipe.
    """
    for _ in range(MOST_FAULTS):
        try:
            recipe = recipe_from_table(carrying.table, file=str(path), folder=path.absolute().parent)
            return complete_recipe(recipe, find_card(recipe.method.name), file=str(path))
        except Refusal as refusal:
            if not refusal.faults or not any(
                _take_back(carrying, fault.key, fault.problem) for fault in refusal.faults
            ):
                raise
    raise Refusal(f"{printable(str(path))}: has too many values that Pegbox doesn't take.")


def _take_back(carrying: Carrying, to: str, problem: str) -> bool:
    """Take a value out of the recipe. Returns: whether it came from a key, or from a default of the other tool's."""
    if carrying.at(to) is None:
        return False
    carrying.drop(to)
    carrying.assumed = [one for one in carrying.assumed if one.to != to]
    for entry in list(carrying.entries.values()):
        if entry.to.startswith(f"{to} = "):
            carrying.replace(
                msgspec.structs.replace(entry, fate="left", to="", why=f"Pegbox doesn't take it: {problem}")
            )
    return True


def _in_order(carrying: Carrying) -> list[str]:
    """Put the keys in the order of the file, what lies below one behind it."""
    places = {key: number for number, key in enumerate(carrying.given)}
    return sorted(carrying.entries, key=lambda key: (places.get(key.partition("[")[0], len(places)), "[" in key))
