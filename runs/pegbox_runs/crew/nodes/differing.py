"""What two machines must have alike, and what differs: by name, with both sides."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_runs.environment import installed_libraries
from pegbox_runs.printable import one_line

HARMLESS = {"datasets", "bitsandbytes"}
"""Libraries that compute nothing of a step; bitsandbytes does where the base is in 4 or 8 bits."""
PLACES = {"model.name", "model.chat_template", "rows.file", "split.file", "judging.general"}
"""Where files lie, which each machine says for itself; that they hold the same is looked at."""
MOST_SHOWN = 4


def versions_here() -> dict[str, str | None]:
    """Read the versions of Pegbox and of what training rests on."""
    return {"pegbox": version("pegbox"), **installed_libraries()}


def differing_versions(
    here: Mapping[str, str | None], there: Mapping[str, str | None], *, quantized: bool
) -> tuple[list[str], list[str]]:
    """Name the libraries of which two machines have other versions: those that change results, and the harmless."""
    harmful: list[str] = []
    harmless: list[str] = []
    for name in sorted({*here, *there}):
        mine, other = here.get(name), there.get(name)
        if mine != other:
            matters = name not in HARMLESS or (name == "bitsandbytes" and quantized)
            (harmful if matters else harmless).append(f"{name} {mine or 'none'} here, {other or 'none'} there")
    return harmful, harmless


def differing_keys(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """Name the keys of which two recipes have other values, but for where files lie."""
    mine, other = _flat(here), _flat(there)
    differing = [key for key in sorted({*mine, *other}) if mine.get(key) != other.get(key) and not _is_place(key)]
    shown = [f"{key} = {_said(mine.get(key))} here, {_said(other.get(key))} there" for key in differing[:MOST_SHOWN]]
    more = len(differing) - len(shown)
    return [*shown, f"and {more} more"] if more else shown


def with_places_of(recipe: Recipe, own: Recipe) -> Recipe:
    """Take a recipe as it is, with the files where this machine's own recipe says they lie."""
    replace = msgspec.structs.replace
    mix = tuple(replace(one, file=mine.file) for one, mine in zip(recipe.rows.mix, own.rows.mix, strict=False))
    return replace(
        recipe,
        model=replace(recipe.model, name=own.model.name, chat_template=own.model.chat_template),
        rows=replace(recipe.rows, file=own.rows.file, mix=mix),
        split=replace(recipe.split, file=own.split.file),
        judging=replace(recipe.judging, general=own.judging.general),
    )


def plain(recipe: Recipe) -> dict[str, Any]:
    """Write a recipe as two machines compare it."""
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(recipe))
    return told


def without_places(told: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out where files lie."""
    return {key: value for key, value in _flat(told).items() if not _is_place(key)}


def _is_place(key: str) -> bool:
    return key in PLACES or (key.startswith("rows.mix.") and key.endswith(".file"))


def _flat(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        inside = dict(enumerate(value)) if isinstance(value, list) and value and isinstance(value[0], dict) else value
        if isinstance(inside, dict):
            found.update(_flat({str(name): one for name, one in inside.items()}, f"{before}{key}."))
        else:
            found[f"{before}{key}"] = value
    return found


def _said(value: Any) -> str:
    return "none" if value is None else one_line(msgspec.json.encode(value).decode(), 80)
