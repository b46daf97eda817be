"""What the doctor of rows found, as people read it: findings first, then lengths, parts and advice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pegbox_runs.printable import one_line, printable
from pegbox_runs.rows.doctor.fix_report import Fixed, report_paths
from pegbox_runs.rows.place import Rejected
from pegbox_runs.rows.report import Lengths, Report
from pegbox_tui.rows.report_parts import (
    advice_part,
    balance_part,
    counted,
    facts,
    finding_part,
    histogram,
    limits_part,
    padding_part,
    rejected_part,
    rows_in_words,
    split_part,
    spread,
    verdict,
)

FIRST_REJECTED = 10
"""Rejected rows that are told without being asked for."""
WIDEST = 110
"""Columns: longer lines are hard to read."""


def people_console(*, plain: bool) -> Console:
    """Make the console that answers go to; where it is no terminal, its width is COLUMNS or 80."""
    console = Console(highlight=False, emoji=False, markup=False, no_color=True if plain else None)
    console.width = min(console.width, WIDEST)
    return console


def show_report(
    report: Report, rejected: Sequence[Rejected], *, name: str, console: Console, all_rejected: bool
) -> None:
    """Print the whole of it, under the name that the rows were asked for by."""
    _head(console, report, name)
    if report.findings:
        _title(console, "Findings")
        for number, finding in enumerate(report.findings):
            if number:
                console.print()
            console.print(_indented(finding_part(finding)))
    if report.lengths is not None:
        _lengths(console, report.lengths)
    if report.balance is not None and report.rows:
        _title(console, f"Balance of {one_line(report.balance.column, 40)}")
        console.print(_indented(balance_part(report.balance)))
    if report.split is not None:
        _title(console, "Split")
        console.print(_indented(split_part(report.split)))
    if report.advice and report.rows:
        _title(console, "Advice")
        console.print(_indented(advice_part(report.advice)))
    if rejected:
        _rejected(console, rejected, all_of_them=all_rejected)


def show_fixed(fixed: Fixed, *, console: Console) -> None:
    """Say what was written where, and which rows aren't in it as they were."""
    _title(console, "Cleaned copy")
    # Paths are never folded: they are to be copied.
    written = Text.assemble(" ", (printable(fixed.target), "bold"), f": {rows_in_words(fixed.rows_after)}")
    console.print(written, soft_wrap=True)
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "right", "left"):
        table.add_column(no_wrap=True, justify=justify)
    for done, counts in (("left out", fixed.left_out), ("mended", fixed.mended)):
        for finding, rows in counts.items():
            table.add_row(done, f"{rows:,}", printable(finding))
    console.print(_indented(table if table.row_count else Text("nothing was left out or mended")))
    if fixed.kept:
        console.print(_indented(Text(f"kept as they are: {printable(', '.join(fixed.kept))}")))
    each = printable(str(report_paths(Path(fixed.target))[1]))
    console.print(Text.assemble(" each row and its reason: ", (each, "bold")), soft_wrap=True)
    console.print(Text(f" {one_line(fixed.source, 1000)} is untouched", "dim"), soft_wrap=True)


def show_next(command: str, *, console: Console) -> None:
    """Offer a command. It is never folded, so that it can be copied."""
    _title(console, "Next")
    console.print(Text(f" {one_line(command, 4000)}", "cyan"), soft_wrap=True)


def _head(console: Console, report: Report, name: str) -> None:
    model = f" for {report.model}" if report.model else ""
    console.print(Text(one_line(f"{name}{model}", 1000), "bold"))
    console.print(Text(facts(report), "dim"))
    known = Text.assemble("format ", (printable(report.format), "bold"), f": {printable(report.evidence)}")
    console.print(known)
    console.print(verdict(report))


def _lengths(console: Console, lengths: Lengths) -> None:
    _title(console, "Tokens in a row")
    console.print(_indented(histogram(lengths)))
    console.print()
    console.print(_indented(spread(lengths)))
    console.print(_indented(counted(lengths)))
    _title(console, "What a limit on the length costs")
    console.print(_indented(limits_part(lengths)))
    console.print()
    chosen = Text.assemble(("training.length", "cyan"), " = ", (str(lengths.recommended), "bold"))
    console.print(_indented(chosen.append(f": {printable(lengths.why)}")))
    if lengths.padding:
        _title(console, f"Padding, with {lengths.micro_batch} rows in a micro-batch")
        console.print(_indented(padding_part(lengths)))


def _rejected(console: Console, rejected: Sequence[Rejected], *, all_of_them: bool) -> None:
    """List rows that can't be taken. What they hold stands last in its line, and is folded there."""
    _title(console, "Rejected rows")
    console.print(_indented(rejected_part(rejected if all_of_them else rejected[:FIRST_REJECTED])))
    if not all_of_them and len(rejected) > FIRST_REJECTED:
        more = f"and {len(rejected) - FIRST_REJECTED:,} more: --rejected lists them all"
        console.print(_indented(Text(more, "dim")))


def _title(console: Console, title: str) -> None:
    console.print()
    console.print(Text(printable(title), "bold underline"))


def _indented(*parts: RenderableType) -> Padding:
    return Padding(Group(*parts), (0, 0, 0, 1), expand=False)
