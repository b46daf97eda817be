"""The options of `pegbox compare`, apart from the parser of all the others: it has as many as they have together."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

SUMMARY = "find out which method is best for your rows: start a comparison, watch one, or list them"
DESCRIPTION = """\
Train several methods on the same rows, in the same order and for as many steps,
and say which is best, with chance taken into account. It goes on without the
terminal, and what was done is never done twice.

WHAT is one recipe with --methods, or several recipes, each of which takes part
as it is: then a comparison is started. Or it is a comparison's id, a unique
beginning of it, or `last`: then that one is shown, live or after its end, or
goes on with more. A file that exists, and a name that ends in .toml or holds a
slash, is a recipe. Without WHAT, the comparisons are listed.

The comparison's folder has what came of it: results.json and results.csv,
report.md and report.html. `pegbox stop|pause|resume|abort|watch COMPARISON`
work as they do for a run."""


def add_compare(compare: argparse.ArgumentParser, add_view: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add them. `add_view`: adds how it is shown."""
    compare.description = DESCRIPTION
    compare.formatter_class = argparse.RawDescriptionHelpFormatter
    compare.add_argument("what", metavar="WHAT", nargs="*", help="RECIPE, several of them, or COMPARISON")
    _add_contents(compare.add_argument_group("a new comparison: what is compared"))
    _add_limits(compare.add_argument_group("a new comparison: how much is spent on it"))
    old = compare.add_argument_group("a comparison that is there")
    change = old.add_mutually_exclusive_group()
    change.add_argument("--add", metavar="METHODS", help="add methods to it, written as for --methods, and go on")
    change.add_argument("--retry", action="store_true", help="run again what failed in it")
    change.add_argument("--report", action="store_true", help="write its report files anew, and say where they lie")
    view = compare.add_mutually_exclusive_group()
    view.add_argument("--watch", action="store_true", help="watch the comparison (this is the default)")
    view.add_argument("--detach", action="store_true", help="start the comparison, tell its id, and return")
    view.add_argument(
        "--dry-run", action="store_true", help="say what would be trained and how long it takes; start nothing"
    )
    add_view(compare)


def _add_contents(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--methods",
        metavar="A,B,...",
        help="as `pegbox methods` lists them; NAME=METHOD gives one a name of its own, as in lora,b=lora",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of each recipe, as in training.epochs=3 (may be repeated)",
    )
    group.add_argument(
        "--rank-budget",
        type=int,
        metavar="WEIGHTS",
        help="choose each method's rank so that it trains about so many weights",
    )
    group.add_argument(
        "--general",
        metavar="FILE",
        help="rows that have nothing to do with the task, to see what is forgotten; `bundled` (default) or `none`",
    )
    group.add_argument(
        "--metrics",
        metavar="A,B,...",
        help="also let each answer held-out questions, and measure exact-match, token-f1, rouge-l",
    )


def _add_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--seeds",
        default=None,
        metavar="N",
        help="train each so many times, with the recipe's seed and those behind it; or the seeds, as 1,2,3 (default 3)",
    )
    group.add_argument(
        "--budget",
        metavar="TIME|STEPS",
        help="what all may take together: 2h, 90m, or a number of optimizer steps (default: the recipe's, for each)",
    )
    group.add_argument(
        "--no-search",
        action="store_true",
        help="take each recipe's learning rate, or its method's own, instead of trying three",
    )
    group.add_argument(
        "--gpus",
        metavar="all|0,1",
        help="GPUs that work side by side (default: one, in turn)",
    )
    group.add_argument(
        "--on",
        metavar="CLUSTER",
        help="run it on a cluster whose nodes all see PEGBOX_HOME, rows and model: ray, ray://HEAD:PORT, slurm, or "
        "slurm:partition=NAME,time=04:00:00",
    )
    group.add_argument(
        "--at-once",
        type=int,
        metavar="N",
        help="trainings that run at once on the cluster (default: as many as it has room for)",
    )


def joined(words: Sequence[str]) -> list[str]:
    """Join `--budget` with a value that begins with a minus: argparse would take that for an option of its own."""
    found: list[str] = []
    for word in words:
        if found and found[-1] == "--budget" and word[:1] == "-" and word[1:2].isdecimal():
            found[-1] = f"--budget={word}"
        else:
            found.append(word)
    return found
