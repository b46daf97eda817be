"""The list of comparisons: who takes part, how far it is, what came of it."""

from __future__ import annotations

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pegbox.answer import say
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder, all_comparisons, comparisons_root
from pegbox_runs.arena.results import Results, read_results
from pegbox_runs.arena.spec import read_comparison
from pegbox_runs.printable import one_line
from pegbox_runs.run_state import Status
from pegbox_runs.viewing import state_of

STARTS = "`pegbox compare RECIPE --methods lora,dora` starts one."
STYLES = {"finished": "green", "running": "cyan", "failed": "red", "lost": "red"}


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison."""

    comparison: str
    folder: str
    status: Status
    contestants: tuple[str, ...]
    complete: bool = False
    """Whether nothing of it is left to run."""
    winner: str | None = None
    """Who is better than every other, if it can be told."""
    best: tuple[str, ...] = ()
    """The winner, or those that share the first place, so far."""
    recommendation: str = ""
    fault: str | None = None
    """Why what was asked for can't be read."""


def listed() -> list[Listed]:
    """Read all comparisons, the oldest first, and what lies among them without being one that can be read."""
    there = [*all_comparisons(), *_without_question()]
    return [_listed(folder) for folder in sorted(there, key=lambda folder: folder.id)]


def _without_question() -> list[ComparisonFolder]:
    """Find the folders that have lost their comparison.toml."""
    try:
        places = [path for path in comparisons_root().iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []
    return [folder for folder in map(ComparisonFolder, places) if not folder.comparison.is_file()]


def _listed(folder: ComparisonFolder) -> Listed:
    try:
        contestants, fault = read_comparison(folder).asked.contestants, None
    except Refusal as refusal:
        contestants, fault = (), refusal.sentence
    results = read_results(folder)
    return Listed(
        comparison=folder.id,
        folder=str(folder.path),
        status=state_of(folder).status,
        contestants=contestants,
        complete=results is not None and results.complete,
        winner=results.winner if results else None,
        best=_best(results),
        recommendation=results.recommendation if results else "",
        fault=fault,
    )


def _best(results: Results | None) -> tuple[str, ...]:
    if results is None:
        return ()
    return results.groups[0] if results.groups else tuple(one.name for one in results.contestants if one.place == 1)


def show_list(found: list[Listed]) -> None:
    """Print them, the newest last."""
    if not found:
        say(f"There are no comparisons in {comparisons_root()} yet. {STARTS}")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("comparison", no_wrap=True, min_width=max(len(one.comparison) for one in found))
    table.add_column("status", no_wrap=True, min_width=8)
    table.add_column("contestants", no_wrap=True, overflow="ellipsis")
    table.add_column("best", no_wrap=True, overflow="ellipsis")
    for one in found:
        table.add_row(
            Text(one_line(one.comparison, 60)),
            Text(one.status, STYLES.get(one.status, "yellow")),
            Text(one_line(", ".join(one.contestants) or "?", 200)),
            Text(one_line(_verdict(one), 200)),
        )
    Console(highlight=False, emoji=False, markup=False).print(table)
    for one in found:
        if one.fault:
            say(one.fault)
    say("`pegbox compare COMPARISON` shows one: live, or what came of it.")


def _verdict(one: Listed) -> str:
    if not one.best:
        return "-"
    best = ", ".join(one.best)
    so_far = "" if one.complete else " so far"
    return f"{best} (tied{so_far})" if len(one.best) > 1 else f"{best}{so_far}"
