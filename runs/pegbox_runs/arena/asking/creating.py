"""From what a person asks to a comparison's folder; everything that can be refused is refused before it exists."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pegbox_methods.advice.walk import LOOKS
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.asking.adding import add_contestants, retry_failed
from pegbox_runs.arena.asking.budget import LEAST_STEPS, MOST_STEPS, Budget, steps_for
from pegbox_runs.arena.asking.checking import (
    checked_recipes,
    judged_recipe,
    least_steps,
    refuse_names,
    rows_remarks,
    sized_recipes,
    without_tokens,
)
from pegbox_runs.arena.asking.contestants import contestants_named, contestants_of, seeds_of
from pegbox_runs.arena.asking.costs import (
    Seconds,
    cost_of,
    machine_for,
    refuse_short_of_disk,
    refuse_short_of_time,
    short_of_memory,
    total_seconds,
    walked,
)
from pegbox_runs.arena.asking.fairness import refuse_unlike
from pegbox_runs.arena.asking.fleet import find_fleet, reached, refuse_bad_fleet
from pegbox_runs.arena.comparison_folder import ComparisonFolder, comparisons_root
from pegbox_runs.arena.schedule import all_entries_count
from pegbox_runs.arena.spec import MOST_SEEDS, Asked, Comparison, write_comparison
from pegbox_runs.environment import Environment
from pegbox_runs.fleet.cluster import Cluster
from pegbox_runs.preflight import CheckedRecipe
from pegbox_runs.run_folder import fill, moment_of

__all__ = [
    "CheckedComparison",
    "Wanted",
    "add_contestants",
    "check_comparison",
    "contestants_named",
    "contestants_of",
    "create_comparison",
    "retry_failed",
    "seeds_of",
]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person asks for."""

    contestants: Mapping[str, Recipe]
    """Name -> a recipe as it was read; the first one's rows, split and length are everybody's."""
    seeds: tuple[int, ...]
    search: bool = True
    budget: Budget | None = None
    rank_budget: int | None = None
    """Trainable weights that each contestant's rank is chosen for."""
    gpus: tuple[str, ...] = ()
    """As CUDA_VISIBLE_DEVICES names them. Empty: one, in turn."""
    on: str | None = None
    """A cluster that carries the entries, as `--on` names it; None: this machine does."""
    at_once: int | None = None
    """Entries that run at once on a cluster; None: as many as it has room for."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Under what a contestant's recipe is told to people, where that isn't its name."""


@dataclass(frozen=True, kw_only=True)
class CheckedComparison:
    """A comparison that nothing speaks against; no file of it exists."""

    asked: Asked
    recipes: Mapping[str, Recipe]
    """Complete, with the commits of model and rows written down."""
    shared: Recipe
    """The first contestant's as it was asked for: more of them can be made from it."""
    held_out: int
    """Rows."""
    remarks: tuple[str, ...]
    """What people should know before it is started: sentences."""
    seconds: Seconds | None
    """Of the whole; None: the device's speed isn't known."""
    disk_bytes: int
    """That all its entries leave."""
    describe: Callable[[], Environment]
    """Reads what it will stand on."""

    @property
    def entries(self) -> int:
        """Count its trainings, tries too."""
        return all_entries_count(Comparison(self.asked, self.recipes))


def check_comparison(wanted: Wanted) -> CheckedComparison:
    """Check all that is asked for, and plan it.

    Raises: Refusal: what is wrong with any contestant, all of it at once, or with what they share.
    """
    refuse_names(wanted.contestants)
    _refuse_twice(wanted)
    refuse_bad_fleet(wanted.on, wanted.at_once, wanted.gpus)
    with reached(wanted.on) as cluster:
        return _checked(wanted, cluster)


def _checked(wanted: Wanted, cluster: Cluster | None) -> CheckedComparison:
    gpus = None if cluster is None else cluster.has_gpus()
    recipes = {name: judged_recipe(recipe) for name, recipe in wanted.contestants.items()}
    refuse_unlike([(wanted.files.get(name, name), recipe) for name, recipe in recipes.items()])
    checked, remarks = sized_recipes(
        checked_recipes(recipes, search=wanted.search, cluster_gpus=gpus), wanted.rank_budget
    )
    first = next(iter(checked.values()))
    machine = machine_for(wanted.gpus, cluster_gpus=gpus)
    stranger = gpus is True and not machine.gpus  # which says nothing of what the nodes' GPUs take
    rows = walked(first)
    least = least_steps(checked)
    own = min(rows.own_steps, MOST_STEPS)
    steps = steps_for(own, least, seeds=len(wanted.seeds), search=wanted.search, budget=wanted.budget)
    asked = Asked(
        contestants=tuple(checked),
        seeds=wanted.seeds,
        steps=steps.steps,
        trial_steps=steps.trial_steps,
        search=steps.search,
        budget_steps=wanted.budget.steps if wanted.budget else None,
        budget_seconds=wanted.budget.seconds if wanted.budget else None,
        rank_budget=wanted.rank_budget,
        gpus=wanted.gpus,
        on=wanted.on,
        at_once=wanted.at_once,
        at_most=wanted.at_once,
    )
    costs = {name: cost_of(one, rows, machine) for name, one in checked.items()}
    fleet = None if cluster is None else find_fleet(cluster, asked, checked, costs)
    asked = asked if fleet is None else fleet.asked
    if not stranger:
        refuse_short_of_time(costs, asked, max(min(LEAST_STEPS, own), *least.values()))
    disk_bytes = refuse_short_of_disk(costs, asked)
    held_out = len(first.rows.held_out)
    return CheckedComparison(
        asked=asked,
        recipes={name: one.recipe for name, one in checked.items()},
        shared=_shared(recipes[asked.contestants[0]], first),
        held_out=held_out,
        remarks=(
            *([] if fleet is None else [fleet.remark]),
            *steps.remarks,
            *rows_remarks(held_out, search=steps.search),
            *remarks,
            *(short_of_memory(costs) if cluster is None else ()),
            *first.rows.remarks,
        ),
        seconds=None if stranger else total_seconds(costs, asked, _looks(asked, first.recipe)),
        disk_bytes=disk_bytes,
        describe=first.environment,
    )


def create_comparison(checked: CheckedComparison) -> ComparisonFolder:
    """Make the folder of a new comparison; it appears under its name only when it is whole.

    Raises: Refusal: the place for comparisons can't be written.
    """
    environment = checked.describe()
    root = comparisons_root()
    name = f"{moment_of(root)}-compare-{secrets.token_hex(2)}"
    making = root / f".making-{name}"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        making.mkdir(mode=0o700)
        folder = ComparisonFolder(making)
        fill(folder, checked.shared, environment)
        folder.checkpoints.rmdir()  # its entries have them
        folder.entries.mkdir(mode=0o700)
        write_comparison(checked.asked, without_tokens(checked.recipes), folder)
        return ComparisonFolder(making.rename(root / name))
    except BaseException as error:
        shutil.rmtree(making, ignore_errors=True)
        if isinstance(error, OSError):
            raise Refusal(_unwritable(root, error)) from error
        if isinstance(error, UnicodeError):
            raise Refusal(f"a name in the recipe can't be written as UTF-8: {error}.") from error
        raise


def _unwritable(root: Path, error: OSError) -> str:
    return (
        f"{root}: can't write the comparison's folder: {error.strerror}. Make the place writable, or name another with "
        "PEGBOX_HOME."
    )


def _refuse_twice(wanted: Wanted) -> None:
    """Refuse seeds and GPUs that are named twice, or too many. Raises: Refusal."""
    if not 0 < len(wanted.seeds) <= MOST_SEEDS:
        raise Refusal(f"{len(wanted.seeds)} seeds: expected from 1 to {MOST_SEEDS}.")
    for what, given in (("seed", wanted.seeds), ("GPU", wanted.gpus)):
        twice = next((one for place, one in enumerate(given) if one in given[:place]), None)
        if twice is not None:
            raise Refusal(f"{what} {twice} is named twice; expected each once.")


def _shared(asked: Recipe, checked: CheckedRecipe) -> Recipe:
    """Give a recipe as it was asked for, with what was pinned: what its method decided isn't everybody's."""
    full = checked.recipe
    return msgspec.structs.replace(asked, model=full.model, rows=full.rows, split=full.split)


def _looks(asked: Asked, recipe: Recipe) -> int:
    """Count how often a training that counts looks at the held-out rows."""
    every = recipe.evaluation.every or -(-asked.steps // LOOKS)
    return 1 + -(-asked.steps // every)
