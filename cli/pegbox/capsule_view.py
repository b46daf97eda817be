"""Capsules on a terminal: what goes into one, what differs here, how a replay goes on, what came of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pegbox.answer import say, stream_for_people
from pegbox_runs.capsule.checking import Difference
from pegbox_runs.capsule.difference import Verdict
from pegbox_runs.capsule.packing import Packing
from pegbox_runs.figures import size
from pegbox_runs.printable import one_line, printable
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.viewing import Advance

WEIGHTS = {"stops": "no replay", "may-explain": "may explain", "unlikely": "unlikely"}
SHOWN = 12
"""Differences of distributions that are unlikely to matter, before the rest is only counted."""


def show_packing(packing: Packing, *, with_rows: bool, json: bool) -> None:
    """Say what goes into a capsule before it is written."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("in the capsule", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    for name, member in packing.contents.members.items():
        table.add_row(printable(name), size(member.bytes))
    _console(json=json).print(table)
    rows = (
        "With your rows: whoever has the file can read them."
        if with_rows
        else "Without your rows: only their SHA-256. The adapter may give away what it learned from them."
    )
    say(rows, json=json)


def show_differences(found: Sequence[Difference], *, json: bool) -> None:
    """Say what isn't here as it was for the capsule's run."""
    if not found:
        say("base, rows, versions and machine are those of the run.", json=json)
        return
    hidden = [one for one in found if one.weight == "unlikely"][SHOWN:]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("differs", "in the capsule", "here", "for the result"):
        table.add_column(name, overflow="fold")
    for one in found:
        if one not in hidden:
            shown = [one_line(text, 500) for text in (one.about, one.there, one.here)]
            style = "bold red" if one.weight == "stops" else "yellow" if one.weight == "may-explain" else "dim"
            table.add_row(*shown, Text(WEIGHTS[one.weight], style))
    _console(json=json).print(table)
    if hidden:
        say(f"and {len(hidden)} more distributions that hardly matter; --json names them.", json=json)


def show_verdict(verdict: Verdict, *, json: bool) -> None:
    """Say whether the same came of a replay, and where not."""
    for line in _verdict_lines(verdict):
        say(line, json=json)


def _verdict_lines(verdict: Verdict) -> list[str]:
    kept = f"The replay is {verdict.run}." if verdict.kept else "The replay was removed."
    if verdict.equal:
        also = "" if verdict.first is None else ", though losses on the way differ"
        return [f"EQUAL: the adapter is the same, bit by bit, after {verdict.steps} steps{also}. {kept}"]
    lines = [
        "DIFFERENT: the adapter's weights are the same, bit by bit, and its config isn't."
        if verdict.same_weights
        else "DIFFERENT: another adapter came of it."
    ]
    if verdict.first is not None and verdict.largest is not None:
        first, largest = verdict.first, verdict.largest
        lines.append(
            f"  losses: the first to differ is step {first.step}: {first.there:.7f} there, {first.here:.7f} here; "
            f"the most at step {largest.step}: {abs(largest.there - largest.here):.1e} nats"
        )
    else:
        lines.append(f"  losses: the same in all {verdict.steps} steps")
    lines += [f"  evaluation after step {e.step}: {e.there:.7f} there, {e.here:.7f} here" for e in verdict.evaluations]
    if verdict.weights is not None:
        w = verdict.weights
        lines.append(
            f"  weights: {w.differing} of {w.tensors} tensors differ; most in {one_line(w.tensor, 100)}: by "
            f"{w.largest:.1e}, where its largest number is {w.largest_value:.1e}"
        )
    lines += [f"  {one}" for one in verdict.missing]
    if verdict.config:
        lines.append(f"  the adapter's config: {one_line(', '.join(verdict.config), 300)} differ")
    return [*lines, f"Why: {one_line(verdict.explained, 1000)}", kept]


class ReplayView:
    """How a replay goes on: a bar on a terminal, and nothing elsewhere."""

    def __init__(self, folder: RunFolder) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f} of {task.total:.0f} steps"),
            TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("starting", total=1)
        self._id = folder.id

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def see(self, advance: Advance) -> None:
        """Draw where it is."""
        state = advance.state
        doing = state.phase.phase if state.phase is not None else state.status
        total = state.prepared.steps if state.prepared is not None else 1
        self._progress.update(self._task, description=doing, total=total, completed=state.steps_done)


def _console(*, json: bool) -> Console:
    return Console(file=stream_for_people(json=json), highlight=False, emoji=False, markup=False)
