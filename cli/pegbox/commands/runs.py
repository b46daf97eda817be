"""pegbox runs"""

from __future__ import annotations

import argparse

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pegbox.answer import answer_json, say
from pegbox.terminal import can_draw
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import all_comparisons
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import all_runs, runs_root
from pegbox_runs.summary import Summary
from pegbox_runs.together import processes
from pegbox_runs.viewing import summary_of

STYLES = {
    "queued": "cyan",
    "running": "cyan",
    "restarting": "cyan",
    "paused": "yellow",
    "finished": "green",
    "stopped": "yellow",
    "aborted": "yellow",
    "failed": "red",
    "lost": "red",
}


def run(asked: argparse.Namespace) -> int:
    """List the newest runs, or open the screen of all."""
    if asked.screen:
        return _screen(asked)
    folders = all_runs()
    shown = folders[-asked.limit :] if asked.limit > 0 else folders
    summaries = [summary_of(folder) for folder in shown]
    if asked.json:
        answer_json([msgspec.to_builtins(summary) for summary in summaries])
        return 0
    if not summaries:
        say(f"There are no runs in {runs_root()} yet. `pegbox demo` makes one.")
    else:
        Console().print(_table(summaries))
        for line in filter(None, map(_events, summaries)):
            say(line)
        if len(shown) < len(folders):
            say(f"{len(folders) - len(shown)} older ones: `pegbox runs --limit 0`.")
    comparisons = len(all_comparisons())
    if comparisons:
        many = "There is a comparison" if comparisons == 1 else f"There are {comparisons} comparisons"
        say(f"{many} too: `pegbox compare` lists {'it' if comparisons == 1 else 'them'}.")
    return 0


def _screen(asked: argparse.Namespace) -> int:
    """Show all runs; go on in the wizard where one is to be repeated with changes."""
    if asked.json or not can_draw():
        raise Refusal("--screen needs a terminal at both ends, and doesn't go with --json.")
    from pegbox_tui.runs_app import browse_runs
    from pegbox_tui.shell.look import Look

    if browse_runs(Look.here()):
        from pegbox.commands import wizard

        return wizard.run(asked)
    return 0


def _table(summaries: list[Summary]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    # Ids are copied, and a status that is cut says nothing: on a narrow terminal the others give way.
    table.add_column("run", no_wrap=True, min_width=max(len(summary.run) for summary in summaries))
    table.add_column("status", no_wrap=True, min_width=max(len(summary.status) for summary in summaries))
    table.add_column("model", overflow="ellipsis", no_wrap=True)
    table.add_column("steps", justify="right", no_wrap=True)
    table.add_column("eval loss", justify="right", no_wrap=True)
    for summary in summaries:
        planned = f"/{summary.steps_planned}" if summary.steps_planned else ""
        table.add_row(
            Text(one_line(summary.run, 60)),
            Text(summary.status, STYLES.get(summary.status, "")),
            Text(one_line((summary.model or "-").rstrip("/").rpartition("/")[2], 30)),
            f"{summary.steps}{planned}",
            _loss(summary),
        )
    return table


def _events(summary: Summary) -> str | None:
    """Say what is not as usual: several processes, workers that were started again, values that were changed."""
    said = []
    if summary.engine:
        said.append(f"carried by {processes(summary.processes, summary.engine)}")
    if summary.attempts > 1:
        said.append(f"{summary.attempts} workers carried it, one after another")
    said += [f"{change.key} became {change.after}" for change in summary.changes]
    return f"{summary.run}: {'; '.join(said)}." if said else None


def _loss(summary: Summary) -> str:
    before = "-" if summary.untrained_loss is None else f"{summary.untrained_loss:.2f}"
    return before if summary.best_loss is None else f"{before} to {summary.best_loss:.2f}"
