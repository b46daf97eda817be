"""pegbox train RECIPE"""

from __future__ import annotations

import argparse
from pathlib import Path

from pegbox.answer import answer_json, say
from pegbox.commands.watch import show
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_runs.launch import launch
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, create


def run(asked: argparse.Namespace) -> int:
    """Start a run, and watch it unless told not to."""
    folder = start(read_recipe(Path(asked.recipe), asked.set), file=asked.recipe)
    if not asked.detach:
        return show(folder, json=asked.json, plain=asked.plain, leave_at_end=True)
    if asked.json:
        answer_json({"run": folder.id, "folder": str(folder.path)})
    say(
        f"{folder.id} is running. `pegbox watch {folder.id}` shows it, `pegbox stop {folder.id}` ends it.",
        json=asked.json,
    )
    return 0


def start(recipe: Recipe, *, file: str) -> RunFolder:
    """Check a recipe, make the run's folder and start its supervisor.

    Raises: Refusal: nothing was left behind.
    """
    checked = check(recipe, file=file)
    folder = create(checked.recipe, checked.environment())
    launch(folder)
    return folder
