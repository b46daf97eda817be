"""pegbox train RECIPE..."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pegbox.answer import answer_json, say
from pegbox.commands.watch import seen
from pegbox_methods.recipe_file import read_recipe
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.starting import start_runs


def run(asked: argparse.Namespace) -> int:
    """Start a run for each recipe, one after another, and watch them unless told not to."""
    folders = start_runs([(read_recipe(Path(file), asked.set), file) for file in asked.recipe])
    if asked.detach:
        return _tell(folders, json=asked.json)
    code = 0
    for folder in folders:
        came = seen(folder, json=asked.json, plain=asked.plain, leave_at_end=True)
        code = max(code, came.code)
        if came.left:
            break
    return code


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
