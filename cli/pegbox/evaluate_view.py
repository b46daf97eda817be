"""An evaluation on a terminal: both models side by side, the rows that changed most, and one sentence at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pegbox.answer_console import answer_console
from pegbox_runs.evaluating.evaluated import Evaluated, EvaluatedRow, Figure, Finding, TaskResult, perplexity
from pegbox_runs.evaluating.verdict import NAMES, loss_told_otherwise
from pegbox_runs.figures import count, duration
from pegbox_runs.printable import one_line, printable
from pegbox_runs.reporting.digits import number, plain, share

STYLES: dict[Finding, str] = {"better": "green", "worse": "bold red", "no difference shown": "dim"}
SHOWN_ANSWER = 500
"""Characters of a text, which may take several lines."""
WIDEST = 1000
"""Columns that no table takes."""


def show_evaluation(found: Evaluated, path: Path) -> None:
    """Print the whole of it, and where it is kept."""
    console = answer_console()
    for line in _head(found):
        console.print(line)
    _print_table(console, _figures(found))
    console.print(Text("Difference: tuned less base; below it, the range that holds it 19 times in 20.", "dim"))
    if found.tasks:
        _print_table(console, _tasks(found.tasks))
        for task in found.tasks:
            if task.remark:
                console.print(Text(f"{printable(task.name)}: {printable(task.remark)}", "dim"))
    for title, rows in (("gained", found.gained), ("lost", found.lost)):
        _show_rows(console, title, rows)
    for remark in (*found.rows.remarks, *loss_told_otherwise(found)):
        console.print(Text(printable(remark), "yellow"))
    console.print(Text(printable(found.verdict), "bold"))
    console.print(Text(f"kept as {printable(str(path))}", "dim"), soft_wrap=True)


def _head(found: Evaluated) -> Iterator[Text]:
    rows, computed = found.rows, found.computed
    yield Text.assemble((found.run, "bold"), printable(f": {found.method} on {found.model}"))
    which = "its own held-out rows of" if rows.source == "held-out" else "the rows of"
    some = f"the first {rows.rows:,} of {rows.of:,}" if rows.rows < rows.of else f"{rows.rows:,} rows"
    asked = f"; {rows.answered} questions answered, up to {rows.answer_tokens} tokens each" if rows.answered else ""
    yield Text(f"on {which} {one_line(rows.name, 60)}: {some}, {count(rows.tokens)} learned tokens{asked}", "dim")
    yield Text(
        f"{computed.device}, {computed.precision}, base weights in {computed.weights}, {duration(computed.seconds)}",
        "dim",
    )


def _print_table(console: Console, table: Table) -> None:
    """Print a table whole; where the lines are too short for it, each of its rows below the other, in words.

    A pipe has no width, unless COLUMNS gives it one.
    """
    width, needs = console.width, Measurement.get(console, console.options.update(max_width=WIDEST), table)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = max(width, needs.maximum)
    if needs.minimum <= console.width:
        console.print(table)
        console.width = width
        return
    console.print()
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        name, *told = [cell.plain if isinstance(cell, Text) else str(cell) for cell in cells]
        console.print(Text(name.replace("\n", ", "), "bold"))
        for column, words in zip(table.columns[1:], told, strict=True):
            if words:
                console.print(Padding(f"{column.header}: {words.replace(chr(10), ', ')}", (0, 0, 0, 2)))
    console.print()


def _figures(found: Evaluated) -> Table:
    table = _table("measure", "base", "tuned", "difference", "shown")
    for figure in found.figures:
        table.add_row(*_cells(figure))
        if figure.measure == "loss":
            base, tuned = (number(perplexity(value), 3) for value in (figure.base, figure.tuned))
            table.add_row("perplexity", base, tuned, "", "")
    return table


def _cells(figure: Figure) -> tuple[str, str, str, str, Text]:
    shown = Text(figure.finding, STYLES[figure.finding])
    if figure.higher_is_better:
        sides = [f"{number(100 * value, 1)} %" for value in (figure.base, figure.tuned)]
        value, range_ = share(figure.difference, sign=True)
    else:
        sides = [number(value, 4) for value in (figure.base, figure.tuned)]
        value, range_ = plain(figure.difference, sign=True)
    difference = f"{value}\n{range_}" if range_ else value
    return NAMES[figure.measure], sides[0], sides[1], difference, shown


def _tasks(tasks: Sequence[TaskResult]) -> Table:
    table = _table("from outside", "base", "tuned", "difference", "rows")
    for task in tasks:
        value, range_ = plain(task.difference, sign=True)
        sides = ["–" if side is None else number(side, 4) for side in (task.base, task.tuned)]
        name = f"{one_line(task.name, 24)}\n{one_line(task.measure, 24)}"
        table.add_row(name, *sides, f"{value}\n{range_}" if range_ else value, f"{task.rows:,}")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if 0 < place < 4 else "left", no_wrap=0 < place < 4)
    return table


def _show_rows(console: Console, title: str, rows: Sequence[EvaluatedRow]) -> None:
    if not rows:
        console.print(Text(f"No row {title}.", "dim"))
        console.print()
        return
    named = "The row that" if len(rows) == 1 else f"The {len(rows)} rows that"
    console.print(Text(f"{named} {title} most", "bold underline"))
    for row in rows:
        told = f"row {row.number}: loss {number(row.base_loss, 3)} to {number(row.tuned_loss, 3)}"
        console.print(Text(told, "green" if row.change < 0 else "red"))
        for label, text in _texts(row):
            line = Table.grid(padding=(0, 1))
            line.add_column(width=8, no_wrap=True, justify="right")
            line.add_column(overflow="fold")
            line.add_row(Text(label, "dim"), Text(one_line(text, min(SHOWN_ANSWER, 3 * (console.width - 10)))))
            console.print(line)
    console.print()


def _texts(row: EvaluatedRow) -> Iterator[tuple[str, str]]:
    if row.question:
        yield "asks", row.question
    yield "expected", row.expected
    if row.base_answer is not None:
        yield "base", row.base_answer or "(nothing)"
    if row.tuned_answer is not None:
        yield "tuned", row.tuned_answer or "(nothing)"
