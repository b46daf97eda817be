"""pegbox train RECIPE..."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pegbox.answer import answer_json, say
from pegbox.commands.watch import seen
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_runs.launch import launch
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, create, discard


def run(asked: argparse.Namespace) -> int:
    """Start a run for each recipe, one after another, and watch them unless told not to."""
    folders = start_all([(read_recipe(Path(file), asked.set), file) for file in asked.recipe])
    if asked.detach:
        return _tell(folders, json=asked.json)
    code = 0
    for folder in folders:
        came = seen(folder, json=asked.json, plain=asked.plain, leave_at_end=True)
        code = max(code, came.code)
        if came.left:
            break
    return code


def start(recipe: Recipe, *, file: str) -> RunFolder:
    """Check a recipe, make the run's folder and start its supervisor.

    Raises: Refusal: nothing was left behind.
    """
    return start_all([(recipe, file)])[0]


def start_all(recipes: Sequence[tuple[Recipe, str]]) -> list[RunFolder]:
    """Check all recipes, and only then make their runs' folders and hand them to one supervisor, which carries them in
    this order.

    Raises: Refusal: nothing was left behind.
    """
    checked = [check(recipe, file=file) for recipe, file in recipes]
    folders: list[RunFolder] = []
    try:
        folders.extend(create(one.recipe, one.environment()) for one in checked)
    except BaseException:
        for folder in folders:
            discard(folder)
        raise
    launch(folders)
    return folders


def _tell(folders: Sequence[RunFolder], *, json: bool) -> int:
    records = [{"run": folder.id, "folder": str(folder.path)} for folder in folders]
    if json:
        answer_json(records[0] if len(records) == 1 else records)
    first, *later = folders
    say(
        f"{first.id} is running. `pegbox watch {first.id}` shows it, `pegbox stop {first.id}` ends it.",
        json=json,
    )
    for folder in later:
        say(f"{folder.id} is queued behind it.", json=json)
    return 0
