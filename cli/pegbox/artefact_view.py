"""An artefact as people read it: what was made, where, and what shows that it is the same model."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from pegbox_methods.events import Event, Notice
from pegbox_methods.job_events import Progress as PartDone
from pegbox_methods.recipe_file import portable
from pegbox_runs.artefacts.artefact import Artefact, Proof, QualityCost
from pegbox_runs.artefacts.proof_words import figures_of, verdict_of
from pegbox_runs.figures import duration, size
from pegbox_runs.printable import printable


def show_artefact(made: Artefact, folder: Path, *, console: Console | None = None) -> None:
    """Print the whole of it, the verdict first."""
    console = console or Console(highlight=False, emoji=False, markup=False)
    bytes_made = sum(one.bytes for one in made.files.values())
    named = f" in {made.number_format}" if made.number_format else ""
    console.print(Text(printable(f"{made.target}{named}: {made.run} on {portable(made.base)}"), "bold"))
    console.print(Text(verdict_of(made), "bold green" if made.proven else "bold red"))
    for proof in made.proofs:
        console.print(Padding(_proof_table(proof), (1, 0, 0, 2)))
    if made.cost is not None:
        console.print(Padding(Text(_cost_line(made.cost)), (1, 0, 0, 2)))
    for remark in made.remarks:
        console.print(Padding(Text(printable(remark)), (1, 0, 0, 2)))
    console.print()
    files = f"{len(made.files)} file{'s' if len(made.files) != 1 else ''}"
    console.print(Text(f"{files}, {size(bytes_made)}, made in {duration(made.seconds)}:"))
    console.print(Text(printable(shlex.quote(str(folder)))), soft_wrap=True)


def _proof_table(proof: Proof) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, figure in figures_of(proof):
        table.add_row(name, Text(printable(figure)))
    return table


def _cost_line(cost: QualityCost) -> str:
    change = cost.loss_after - cost.loss_before
    return (
        f"what it costs: {change:+.4f} nats per token on {cost.rows} held-out rows ({cost.low:+.4f} to "
        f"{cost.high:+.4f}), from {cost.loss_before:.4f} to {cost.loss_after:.4f}"
    )


class ShownProgress:
    """Shows on standard error what a job says on its way: a bar on a terminal, a line for each part elsewhere.

    Call it with each event.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, emoji=False, markup=False)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=20), MofNCompleteColumn())
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task: TaskID | None = None
        self._doing = ""

    def __enter__(self) -> ShownProgress:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        """Show one event; others than notices and progress are left aside."""
        match event:
            case Notice(text=text):
                self._console.print(Text(printable(text)))
            case PartDone(doing=doing, done=done, of=of):
                self._part(printable(doing), done, of)

    def _part(self, doing: str, done: int, of: int | None) -> None:
        if not self._console.is_terminal:
            if doing != self._doing:
                self._console.print(Text(doing))
        elif doing != self._doing or self._task is None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(doing, total=of, completed=done)
        else:
            self._bar.update(self._task, completed=done, total=of)
        self._doing = doing
