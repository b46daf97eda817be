"""What a comparison is about to do, in a few lines, and as a record for programs.

The lines may hold names from outside; whoever shows them makes them printable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_runs.arena.asking.creating import CheckedComparison
from pegbox_runs.arena.schedule import FACTORS, KEPT, choice_rows
from pegbox_runs.figures import duration, size
from pegbox_runs.printable import one_line


def plan_lines(checked: CheckedComparison, *, whole: bool = False) -> Iterator[str]:
    """Say it. `whole`: each contestant in a line, with the rates that are tried."""
    asked, shared = checked.asked, checked.shared
    yield f"{_names(checked)} on {one_line(_last_part(shared.model.name), 60)}, rows {one_line(shared.rows.file, 200)}"
    yield _rows(checked)
    yield _trainings(checked)
    if whole:
        for name, recipe in checked.recipes.items():
            yield f"  {name}: {_contestant(recipe, search=asked.search)}"
    yield _price(checked)
    if unpriced := _unpriced(checked):
        counted = "" if asked.budget_seconds is None else " The budget counts it, and leaves less for the trainings."
        yield f"Not in that time: {' and '.join(unpriced)}, before and after each training.{counted}"
    for remark in checked.remarks:
        yield f"Mind: {remark}"


def plan_record(checked: CheckedComparison) -> dict[str, Any]:
    """Give the same for programs. Seconds and bytes."""
    asked, seconds = checked.asked, checked.seconds
    return {
        **msgspec.to_builtins(asked),
        "contestants": [
            {
                "name": name,
                "method": recipe.method.name,
                "settings": recipe.method.settings,
                "rates": _rates(recipe, search=asked.search),
            }
            for name, recipe in checked.recipes.items()
        ],
        "entries": checked.entries,
        "held_out": checked.held_out,
        "choosing": len(choice_rows(checked.held_out, search=asked.search)),
        "seconds": None if seconds is None else seconds._asdict(),
        "not_in_seconds": _unpriced(checked),
        "disk_bytes": checked.disk_bytes,
        "remarks": checked.remarks,
    }


def _names(checked: CheckedComparison) -> str:
    told = [
        name if name == recipe.method.name else f"{name} ({recipe.method.name})"
        for name, recipe in checked.recipes.items()
    ]
    return ", ".join(told)


def _rows(checked: CheckedComparison) -> str:
    choosing = len(choice_rows(checked.held_out, search=checked.asked.search))
    said = f"{checked.held_out} rows are held out"
    return f"{said}: {choosing} choose learning rates, {checked.held_out - choosing} decide" if choosing else said


def _trainings(checked: CheckedComparison) -> str:
    asked = checked.asked
    finals = len(asked.contestants) * len(asked.seeds)
    seeds = f"seed{'s' if len(asked.seeds) > 1 else ''} {', '.join(map(str, asked.seeds))}"
    most = "at most " if asked.budget_seconds is not None else ""
    said = f"{finals} training{'s' if finals > 1 else ''} of {most}{asked.steps} steps, with {seeds}"
    tries = checked.entries - finals
    if not tries:
        return f"{said}; learning rates as the recipes or the methods have them"
    if not asked.search:
        return f"{said}, after {tries} short tries of {asked.trial_steps} steps that show the pace"
    lengths = f"{asked.trial_steps} and {2 * asked.trial_steps} steps"
    return f"{said}, after {tries} tries of learning rates of {lengths}"


def _contestant(recipe: Recipe, *, search: bool) -> str:
    rank = recipe.method.settings.get("rank")
    told = [recipe.method.name, *([f"rank {rank}"] if rank is not None else [])]
    rates = ", ".join(f"{rate:.3g}" for rate in _rates(recipe, search=search))
    return f"{', '.join(told)}; " + (f"rates {rates}, the best {KEPT} of them twice" if search else f"rate {rates}")


def _rates(recipe: Recipe, *, search: bool) -> list[float]:
    own = recipe.training.learning_rate or 0.0
    return [own * factor for factor in FACTORS] if search else [own]


def _price(checked: CheckedComparison) -> str:
    seconds, budget = checked.seconds, checked.asked.budget_seconds
    if seconds is None:
        time = "how long it takes can't be foretold here"
    else:
        time = f"about {duration(seconds.likely)} ({duration(seconds.low)} to {duration(seconds.high)}), loading aside"
    within = "" if budget is None else f", within {duration(budget)}"
    return f"{time}{within}; {size(checked.disk_bytes)} of disk at most"


def _unpriced(checked: CheckedComparison) -> list[str]:
    """Name what is judged beside the held-out rows: no figure says yet what that takes here."""
    judging = next(iter(checked.recipes.values())).judging
    if checked.seconds is None:
        return []
    questions = min(judging.answers, checked.held_out)
    answering = f"answering {questions} held-out question{'s' if questions > 1 else ''}"
    looking = "the look at the general rows"
    return [said for said, wanted in ((answering, judging.metrics), (looking, judging.general)) if wanted]


def _last_part(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]
