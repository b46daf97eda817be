"""A comparison that goes on with more: contestants that join it, and entries that are tried again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.aside import put_aside
from pegbox_runs.arena.asking.budget import LEAST_STEPS
from pegbox_runs.arena.asking.checking import (
    checked_recipes,
    judged_recipe,
    least_steps,
    refuse_names,
    sized_recipes,
    without_tokens,
)
from pegbox_runs.arena.asking.costs import cost_of, machine_for, refuse_short_of_disk, short_of_memory, walked
from pegbox_runs.arena.asking.fairness import on_the_same_commits, refuse_unlike
from pegbox_runs.arena.asking.fleet import look_again
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.outcomes import read_outcomes
from pegbox_runs.arena.schedule import takes_out
from pegbox_runs.arena.spec import Asked, Comparison, alone, read_comparison, write_comparison
from pegbox_runs.supervision.owner import owned_already, read_owner


def add_contestants(folder: ComparisonFolder, contestants: Mapping[str, Recipe]) -> tuple[str, ...]:
    """Let more contestants join a comparison, on the same terms: rows, steps, seeds and tries stay as they are.

    Its director finds them when it looks next; one that has ended must be started again.
    Returns: remarks for people.
    Raises: Refusal: nothing was changed.
    """
    there = read_comparison(folder)
    asked, shared = there.asked, read_recipe(folder.recipe)
    _refuse_names_there(contestants, there, folder)
    recipes = {name: on_the_same_commits(judged_recipe(one), shared) for name, one in contestants.items()}
    refuse_unlike([(folder.id, shared), *recipes.items()])
    gpus, larger = look_again(folder)
    checked, remarks = sized_recipes(
        checked_recipes(recipes, search=asked.search, cluster_gpus=gpus), asked.rank_budget
    )
    _refuse_long(least_steps(checked), there)
    machine = machine_for(asked.gpus, cluster_gpus=gpus)
    first = next(iter(checked.values()))
    rows = walked(first)
    costs = {name: cost_of(one, rows, machine) for name, one in checked.items()}
    refuse_short_of_disk(costs, asked)
    try:
        with alone(folder):
            there = read_comparison(folder)  # somebody else may have let others join meanwhile
            _refuse_names_there(contestants, there, folder)
            grown = msgspec.structs.replace(there.asked, contestants=(*there.asked.contestants, *checked))
            write_comparison(grown, without_tokens({name: one.recipe for name, one in checked.items()}), folder)
    except OSError as error:
        raise Refusal(f"{folder.path}: can't be written: {error.strerror or error}. Nobody was added.") from error
    short = short_of_memory(costs) if gpus is None else []
    return (*([larger] if larger else []), *remarks, *short, *_beyond_budget(asked, list(checked)))


def retry_failed(folder: ComparisonFolder) -> int:
    """Put aside what failed and takes a contestant out, so that it is due again; what is done isn't touched.

    A try whose loss blew up stays: its rate is only a bad one.
    Returns: the number of entries.
    Raises: Refusal: somebody carries one of them, and nothing was changed; or one can't be put aside.
    """
    comparison = read_comparison(folder)
    failed = [one for one in read_outcomes(folder, comparison).values() if takes_out(one)]
    places = [folder.entry(one.entry.id) for one in failed]
    for place in places:
        owner = read_owner(place)
        if owner is not None and (owner.elsewhere or owner.lives or owner.worker_lives):
            raise owned_already(place, owner)
    for one in failed:
        put_aside(one, folder)
    return len(places)


def _refuse_names_there(contestants: Mapping[str, Recipe], there: Comparison, folder: ComparisonFolder) -> None:
    """Refuse names that are there already, can't be, or are too many with those. Raises: Refusal."""
    twice = [name for name in contestants if name in there.asked.contestants]
    if twice:
        raise Refusal(
            f"{folder.id} has {', '.join(twice)} already; give the new one a name of its own, as in "
            f"{twice[0][:38]}-2=METHOD."
        )
    refuse_names({**there.recipes, **contestants})


def _refuse_long(least: Mapping[str, int], there: Comparison) -> None:
    """Refuse methods that can't work with the steps that the others had. Raises: Refusal."""
    asked = there.asked
    tried = asked.search or asked.budget_seconds is not None
    try_ = "a try of a rate" if asked.search else "the try that shows its pace"
    # As long as the pace isn't known, a training may come to as few as this.
    steps = there.steps or min(asked.steps, max(LEAST_STEPS, asked.trial_steps))
    told: list[str] = []
    for name, needed in least.items():
        begin = f"{name}: it needs at least {needed} steps with its settings, and "
        if tried and needed > asked.trial_steps:
            told.append(f"{begin}{try_} takes {asked.trial_steps} here, as the others had")
        elif needed > steps:
            told.append(f"{begin}each training here takes {steps}{'' if there.steps else ' at the least'}")
    if told:
        raise Refusal("\n".join(told) + ". Leave it out, or begin a comparison with all of them.")


def _beyond_budget(asked: Asked, added: Sequence[str]) -> tuple[str, ...]:
    if asked.budget_steps is None and asked.budget_seconds is None:
        return ()
    names = ", ".join(added)
    return (f"The budget was parted among those who were there; what {names} takes comes on top of it.",)
