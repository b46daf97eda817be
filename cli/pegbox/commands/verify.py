"""pegbox verify CAPSULE"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import msgspec

from pegbox.answer import answer_json, say
from pegbox.capsule_view import ReplayView, show_differences, show_verdict
from pegbox_methods.home import user_path
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.capsule import contents as names
from pegbox_runs.capsule.checking import Difference, differences
from pegbox_runs.capsule.difference import Verdict, adapter_sha256, verdict_of
from pegbox_runs.capsule.opening import Opened, opened
from pegbox_runs.capsule.replaying import Replay, give_up, recipe_of, replay_of, start, take_threads, wait
from pegbox_runs.printable import one_line
from pegbox_runs.removing import remove_run
from pegbox_runs.run_folder import RunFolder

TO_DO = {
    "base": "Name the right one with --model.",
    "rows": "Name the right one with --rows; those of rows.mix must lie where the recipe says, or be packed with them.",
    "held-out": "Name the right one with --held-out.",
    "template": "Put the chat template there, or pack the capsule again: it goes along.",
}
"""What helps where a replay can't be asked for."""


def run(asked: argparse.Namespace) -> int:
    """Check a capsule, and train its run again. Returns: 0 if the same came of it, 1 if not."""
    place = user_path(asked.capsule).absolute()
    rows, held_out = (user_path(named).absolute() if named else None for named in (asked.rows, asked.held_out))
    with opened(place) as capsule, tempfile.TemporaryDirectory(prefix="pegbox-verify-") as aside:
        contents = capsule.contents
        say(
            f"{one_line(place.name, 200)}: whole. {len(contents.members)} files, each as it was packed: "
            f"{one_line(contents.method, 40)} on {one_line(contents.base, 200)}, {contents.steps} steps, "
            f"{one_line(contents.status, 40)}.",
            json=asked.json,
        )
        recipe = recipe_of(capsule, Path(aside), rows=rows, held_out=held_out, model=asked.model)
        told = capsule.environment()
        take_threads(told.threads)
        found = differences(told, capsule.text(names.CONSTRAINTS).decode("utf-8", "replace"), recipe)
        show_differences(found, json=asked.json)
        if asked.only_check:
            return _checked(capsule, found, json=asked.json)
        _refuse_others(found)
        verdict = _replayed(capsule, recipe, found, asked)
    if asked.json:
        answer_json({"capsule": str(place), **msgspec.to_builtins(verdict)})
    show_verdict(verdict, json=asked.json)
    lent = _lent(recipe, aside)
    if verdict.kept and lent:
        say(
            f"Its {lent} came out of the capsule for the training alone, and no copy was kept: {verdict.run} can be "
            "looked at, but what reads them again (evaluate, export) won't find them.",
            json=asked.json,
        )
    return 0 if verdict.equal else 1


def _lent(recipe: Recipe, aside: str) -> str:
    """Name what a replay's recipe names in a folder that is gone by now; empty: nothing."""
    files = {
        "rows": [recipe.rows.file, recipe.split.file, *(one.file for one in recipe.rows.mix)],
        "chat template": [recipe.model.chat_template],
    }
    return " and ".join(
        what for what, named in files.items() if any(Path(one).is_relative_to(aside) for one in named if one)
    )


def _checked(capsule: Opened, found: list[Difference], *, json: bool) -> int:
    """Answer whether anything stands against the same result here."""
    if json:
        answer_json(
            {
                "capsule": str(capsule.place),
                "whole": True,
                "adapter_sha256": adapter_sha256(capsule),
                "differences": msgspec.to_builtins(found),
                "contents": msgspec.to_builtins(capsule.contents),
            }
        )
    return 1 if any(one.weight != "unlikely" for one in found) else 0


def _refuse_others(found: list[Difference]) -> None:
    """Raises: Refusal: the rows or the base model aren't those of the run, so it would be another run."""
    for one in found:
        if one.weight == "stops":
            raise Refusal(
                f"{one.about}: isn't what the capsule's run had: that was {one_line(one.there, 16)}, here it is "
                f"{one_line(one.here, 500).rstrip('.')}. {TO_DO[one.about]}"
            )


def _replayed(capsule: Opened, recipe: Recipe, found: list[Difference], asked: argparse.Namespace) -> Verdict:
    """Train, follow, compare. Ctrl-C ends the training too: nobody would compare what comes of it."""
    replay = replay_of(capsule, recipe)
    folder = start(replay, name=capsule.place.name)
    try:
        say(f"training it again as {folder.id}; Ctrl-C ends that.", json=asked.json)
        _follow(folder, replay)
        verdict = verdict_of(capsule, folder, found, kept=not asked.discard)
    except KeyboardInterrupt:
        give_up(folder)
        say(f"{folder.id} was ended; nothing was compared. `pegbox runs` lists it.", json=asked.json)
        raise
    if asked.discard:
        remove_run(folder)
    return verdict


def _follow(folder: RunFolder, replay: Replay) -> None:
    with ReplayView(folder) as view:
        wait(folder, replay, view.see)
