"""What each entry of a comparison gets of a cluster, read from the comparison alone."""

from __future__ import annotations

from collections.abc import Mapping

from pegbox_methods.recipe import Recipe
from pegbox_runs.arena.spec import Asked
from pegbox_runs.fleet.cluster import Wanted


def wanted_of(asked: Asked, recipes: Mapping[str, Recipe]) -> Wanted:
    """Give what every entry shall get on the cluster."""
    return Wanted(
        processes=max(recipe.devices.processes for recipe in recipes.values()),
        memory_bytes=asked.entry_bytes,
        at_once=asked.at_once,
    )
