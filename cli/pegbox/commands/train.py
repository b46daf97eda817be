"""pegbox train RECIPE..."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pegbox.answer import answer_json, say
from pegbox.commands.watch import seen
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.crew.nodes.place import Nodes
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.starting import start_runs


def run(asked: argparse.Namespace) -> int:
    """Start a run for each recipe, one after another, and watch them unless told not to."""
    recipes = [(read_recipe(Path(file), asked.set), file) for file in asked.recipe]
    if asked.script is not None:
        from pegbox.node_commands import print_script

        return print_script(asked, recipes)
    nodes, node = None, 0
    if (asked.nodes, asked.node_rank, asked.rendezvous) != (None, None, None):
        from pegbox.node_commands import nodes_of, take_part_here

        nodes, node = nodes_of(asked)
        if node:
            return take_part_here(asked, recipes[0], nodes, node)
    folders = _begun(asked, recipes, nodes)
    if asked.detach:
        return _tell(folders, json=asked.json)
    code = 0
    for folder in folders:
        came = seen(folder, json=asked.json, plain=asked.plain, leave_at_end=True)
        code = max(code, came.code)
        if came.left:
            break
    return code


def _begun(asked: argparse.Namespace, recipes: Sequence[tuple[Recipe, str]], nodes: Nodes | None) -> list[RunFolder]:
    if not asked.go_on:
        return start_runs(recipes, nodes=nodes)
    if len(recipes) > 1:
        raise Refusal("--go-on takes one recipe: each of several would need a command of its own.")
    from pegbox_runs.continuing_again import go_on_with, remember_job

    recipe, file = recipes[0]
    folder = go_on_with(recipe, file, nodes)
    if folder is None:
        [folder] = start_runs(recipes, nodes=nodes)
        remember_job(folder)
        return [folder]
    say(f"{folder.id} goes on.", json=asked.json)
    return [folder]


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
