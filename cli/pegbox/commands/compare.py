"""pegbox compare [RECIPE... | COMPARISON]"""

from __future__ import annotations

import argparse
from pathlib import Path

from pegbox.answer import answer_json, say
from pegbox.comparison_watch import show_comparison, tell_end
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder, find_comparison
from pegbox_runs.arena.results import read_results
from pegbox_runs.viewing import state_of

START_ONLY = {
    "methods": "--methods",
    "set": "--set",
    "rank_budget": "--rank-budget",
    "general": "--general",
    "metrics": "--metrics",
    "seeds": "--seeds",
    "budget": "--budget",
    "no_search": "--no-search",
    "gpus": "--gpus",
    "on": "--on",
    "at_once": "--at-once",
    "dry_run": "--dry-run",
}
"""Options of a comparison that isn't there yet, by their names in the parsed command."""

WHICH = "What exists as a file, ends in .toml or holds a slash is a recipe."


def run(asked: argparse.Namespace) -> int:
    """List comparisons, start one, show one, or let one go on with more."""
    recipes = [name for name in asked.what if is_recipe(name)]
    others = [name for name in asked.what if not is_recipe(name)]
    if recipes and others:
        raise Refusal(
            f"{recipes[0]} is a recipe, and {others[0]} would be a comparison: name recipes to start a comparison, or "
            f"one comparison to see it. {WHICH}"
        )
    if recipes:
        _refuse_changes(asked)
        return _start(asked)
    _refuse_start_options(asked)
    if not others:
        _refuse_changes(asked)
        return _list(asked)
    if len(others) > 1:
        raise Refusal(
            f"one comparison is shown at a time, and {len(others)} were named; none of them is a recipe's file. {WHICH}"
        )
    return _go_on(asked, _found(others[0]))


def is_recipe(name: str) -> bool:
    """Tell a recipe's name from a comparison's: it is a file, or is written like one."""
    return name.endswith(".toml") or "/" in name or Path(name).is_file()


def _found(name: str) -> ComparisonFolder:
    try:
        return find_comparison(name)
    except Refusal as refusal:
        raise Refusal(f"{refusal.sentence} A recipe of that name isn't here either.") from None


def _refuse_changes(asked: argparse.Namespace) -> None:
    for option in ("add", "retry", "report"):
        if getattr(asked, option):
            raise Refusal(f"--{option} is for a comparison that is there: `pegbox compare COMPARISON --{option}`.")


def _refuse_start_options(asked: argparse.Namespace) -> None:
    given = [option for name, option in START_ONLY.items() if getattr(asked, name) not in (None, False, [])]
    if not given:
        return
    if not asked.what:
        raise Refusal(
            f"{given[0]} is for a new comparison: name the recipe, as in `pegbox compare RECIPE {given[0]} …`."
        )
    hint = " To add methods to it, write --add." if "--methods" in given else ""
    raise Refusal(
        f"{given[0]} is for a new comparison, and {asked.what[0]} isn't taken for a recipe: no such file is here. "
        f"{WHICH}{hint}"
    )


def _list(asked: argparse.Namespace) -> int:
    from pegbox.comparison_list import listed, show_list

    found = listed()
    if asked.json:
        answer_json(found)
    else:
        show_list(found)
    return 0


def _start(asked: argparse.Namespace) -> int:
    """Check everything, say what is about to be done, and only then make and start it."""
    from pegbox.asked_comparison import read_wanted
    from pegbox_runs.arena.asking.creating import check_comparison, create_comparison
    from pegbox_runs.arena.asking.plan_words import plan_lines, plan_record
    from pegbox_runs.arena.directing.start import start_director

    checked = check_comparison(read_wanted(asked))
    for line in plan_lines(checked, whole=asked.dry_run):
        say(line, json=asked.json)
    if asked.dry_run:
        if asked.json:
            answer_json(plan_record(checked))
        return 0
    folder = create_comparison(checked)
    start_director(folder)
    if asked.json:
        answer_json({"comparison": folder.id, "folder": str(folder.path), "plan": plan_record(checked)})
    return _watch(asked, folder)


def _go_on(asked: argparse.Namespace, folder: ComparisonFolder) -> int:
    """Show a comparison that is there; before that, add to it or have it try again."""
    if asked.report:
        return _report(folder, json=asked.json)
    if asked.add or asked.retry:
        _change(asked, folder)
        return _watch(asked, folder, past=False)
    state = state_of(folder)
    if state.over or state.status == "lost":
        return tell_end(folder, state, json=asked.json)
    return _watch(asked, folder)


def _change(asked: argparse.Namespace, folder: ComparisonFolder) -> None:
    from pegbox_runs.arena.asking.contestants import contestants_named
    from pegbox_runs.arena.asking.creating import add_contestants, retry_failed
    from pegbox_runs.arena.asking.fleet import look_again
    from pegbox_runs.arena.directing.start import start_director

    if asked.add:
        for remark in add_contestants(folder, contestants_named(read_recipe(folder.recipe), asked.add)):
            say(remark, json=asked.json)
    else:
        grown = look_again(folder).grown
        if grown:
            say(grown, json=asked.json)
        count = retry_failed(folder)
        if not count:
            raise Refusal(f"nothing has failed in {folder.id}, so there is nothing to run again.")
        say(f"{count} training{'s are' if count > 1 else ' is'} run again.", json=asked.json)
    state = state_of(folder)
    if state.over or state.status == "lost":
        start_director(folder)
    if asked.json:
        answer_json({"comparison": folder.id, "folder": str(folder.path)})


def _watch(asked: argparse.Namespace, folder: ComparisonFolder, *, past: bool = True) -> int:
    if asked.detach:
        say(
            f"{folder.id} is running. `pegbox compare {folder.id}` shows it, `pegbox stop {folder.id}` ends it.",
            json=asked.json,
        )
        return 0
    return show_comparison(folder, json=asked.json, plain=asked.plain, leave_at_end=True, past=past)


def _report(folder: ComparisonFolder, *, json: bool) -> int:
    from pegbox.comparison_view import REPORT

    results = read_results(folder)
    if results is not None:
        from pegbox_runs.arena.report.writing import write_report

        write_report(results, folder)
    else:
        from pegbox_runs.arena.directing.records import records_anew  # brings numpy

        if records_anew(folder) is None:
            raise Refusal(
                f"{folder.id} has no results yet: nothing of it is done. `pegbox compare {folder.id}` shows it."
            )
        say(f"{folder.results} was made anew from the trainings.", json=json)
    files = [str(folder.path / name) for name in REPORT if (folder.path / name).is_file()]
    if json:
        answer_json({"comparison": folder.id, "files": files})
    else:
        say("\n".join(files))
    return 0
