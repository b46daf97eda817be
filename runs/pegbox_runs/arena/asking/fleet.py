"""A comparison on a cluster: what each entry needs there, how many run at once, and whether the nodes see all of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import BUNDLED_GENERAL
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.asking.costs import Cost
from pegbox_runs.arena.comparison_folder import ComparisonFolder, comparisons_root
from pegbox_runs.arena.fleet_share import wanted_of
from pegbox_runs.arena.spec import MOST_AT_ONCE, Asked, alone, read_comparison, write_comparison
from pegbox_runs.fleet.choosing import cluster_on, kind_of
from pegbox_runs.fleet.cluster import Cluster, Wanted
from pegbox_runs.models import BUNDLED, FoundModel
from pegbox_runs.preflight import CheckedRecipe

MEMORY_SHARE = 1.2
"""Of a worker's forecast memory, that its node must have: the post, Python and what libraries hold beside tensors."""


@dataclass(frozen=True)
class FoundFleet:
    """A cluster that could carry a comparison."""

    asked: Asked
    remark: str
    """A sentence for people: where, how many at once, with what, at what cost."""


def refuse_bad_fleet(on: str | None, at_once: int | None, gpus: tuple[str, ...]) -> None:
    """Refuse what can't be meant, before anything is looked at. Raises: Refusal."""
    if on is None:
        if at_once is not None:
            raise Refusal(
                "--at-once is for a comparison on a cluster (--on); here, --gpus names what works side by side."
            )
        return
    kind_of(on)
    if gpus:
        raise Refusal(
            "--gpus names GPUs of this machine, and --on a cluster, which chooses them itself. Leave one out."
        )
    if at_once is not None and not 0 < at_once <= MOST_AT_ONCE:
        raise Refusal(f"--at-once {at_once}: expected a number of entries, from 1 to {MOST_AT_ONCE}.")


@contextmanager
def reached(on: str | None) -> Iterator[Cluster | None]:
    """Hold the connection to a cluster; None: this machine carries all. Raises: Refusal: nothing answers."""
    if on is None:
        yield None
        return
    cluster = cluster_on(on, Wanted())
    try:
        cluster.reach()
        yield cluster
    finally:
        cluster.close()


def find_fleet(
    cluster: Cluster, asked: Asked, checked: Mapping[str, CheckedRecipe], costs: Mapping[str, Cost]
) -> FoundFleet:
    """See that the cluster's nodes could carry the entries, and plan how many run at once.

    Raises: Refusal.
    """
    asked = msgspec.structs.replace(asked, entry_bytes=_entry_bytes(costs))
    cluster.wanted = wanted_of(asked, {name: one.recipe for name, one in checked.items()})
    cluster.check(list(dict.fromkeys([_root(), *_places(checked)])))
    at_once = min(cluster.slots(), MOST_AT_ONCE)
    remark = (
        f"{cluster.name} carries it: {at_once} at once, {cluster.words()}. Each training is a process of its own, "
        "which loads libraries and base model, and judges the base model, anew."
    )
    return FoundFleet(msgspec.structs.replace(asked, at_once=at_once), remark)


class Again(NamedTuple):
    """What was found of a cluster that shall go on carrying a comparison."""

    gpus: bool | None = None
    """Whether its nodes have GPUs; None: this machine carries all."""
    grown: str | None = None
    """A sentence for people, where more run at once than before."""


def look_again(folder: ComparisonFolder) -> Again:
    """See that the cluster of a comparison that shall go on could carry it still, and use what it has grown by.

    Raises: Refusal: it couldn't; nothing was changed.
    """
    comparison = read_comparison(folder)
    asked, recipes = comparison.asked, comparison.recipes
    with reached(asked.on) as cluster:
        if cluster is None:
            return Again()
        cluster.wanted = dataclasses.replace(wanted_of(asked, recipes), at_once=asked.at_most)
        cluster.check(list(dict.fromkeys([_root(), *_places_named(recipes.values())])))
        at_once = min(cluster.slots(), MOST_AT_ONCE)
        if at_once <= (asked.at_once or 0):
            return Again(cluster.has_gpus())
        try:
            with alone(folder):
                there = read_comparison(folder)
                write_comparison(msgspec.structs.replace(there.asked, at_once=at_once), {}, folder)
        except OSError as error:
            raise Refusal(f"{folder.path}: can't be written: {error.strerror or error}.") from error
        grown = f"{cluster.name} has grown: {at_once} at once by now, {cluster.words()}."
        return Again(cluster.has_gpus(), grown)


def _entry_bytes(costs: Mapping[str, Cost]) -> int | None:
    known = [cost.memory.high_bytes for cost in costs.values() if cost.memory is not None]
    return round(MEMORY_SHARE * max(known)) if known else None


def _root() -> Path:
    root = comparisons_root()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"{root}: can't be made: {error.strerror}. Name another place with PEGBOX_HOME.") from None
    return root


def _places(checked: Mapping[str, CheckedRecipe]) -> Iterator[Path]:
    """Name every file and folder beside the comparison's own that its entries read."""
    for one in checked.values():
        if not one.model.folder.is_relative_to(BUNDLED):  # which every node has in its own Pegbox
            yield _model_place(one.model)
        if one.recipe.model.chat_template is not None:
            yield Path(one.recipe.model.chat_template).expanduser().absolute()
        general = one.recipe.judging.general
        if general is not None and general != BUNDLED_GENERAL:
            yield Path(general).absolute()
    found = next(iter(checked.values())).rows.found
    for place in (*found.sources, *([found.held_out] if found.held_out is not None else [])):
        yield from (path.absolute() for path in place.source.files)


def _places_named(recipes: Iterable[Recipe]) -> Iterator[Path]:
    """Name the files and folders that recipes name themselves and that are there: what a Hub holds isn't looked up."""
    for recipe in recipes:
        named = [recipe.model.name, recipe.rows.file, *(one.file for one in recipe.rows.mix), recipe.split.file]
        for name in filter(None, [*named, recipe.model.chat_template]):
            place = Path(name).expanduser().absolute()
            if place.exists():
                yield place


def _model_place(model: FoundModel) -> Path:
    """Give what nodes must see: a folder, or the Hub's cache that the model is, or will be, in."""
    return model.folder.absolute()
