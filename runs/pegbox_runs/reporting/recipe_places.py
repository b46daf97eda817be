"""A recipe for others to read: what it names on this machine has another name in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_runs.reporting.phrases import is_place

_ROWS = ("file", "general")
"""Keys that may hold a path of rows."""


def renamed(
    recipe: Recipe, *, rows: Callable[[str], str], model: Callable[[str], str], template: Callable[[str], str]
) -> Recipe:
    """Give a recipe with other names for its files of rows, its model and its chat template. A data set of the Hub
    keeps its own."""
    table = _renamed(msgspec.to_builtins(recipe), rows)
    table["model"]["name"] = model(recipe.model.name)
    if recipe.model.chat_template is not None:
        table["model"]["chat_template"] = template(recipe.model.chat_template)
    return msgspec.convert(table, Recipe)


def _renamed(value: Any, rows: Callable[[str], str], key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _renamed(item, rows, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(item, rows, key) for item in value]
    return rows(value) if key in _ROWS and isinstance(value, str) and is_place(value) else value
