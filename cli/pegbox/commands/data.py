"""pegbox data FILE"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from pegbox.answer import answer_json, say
from pegbox.data_view import people_console, show_fixed, show_next, show_report
from pegbox.mask_lines import show_rows
from pegbox.terminal import can_draw
from pegbox_methods.home import user_path
from pegbox_methods.recipe import RowSource
from pegbox_methods.recipe_file import recipe_from_table
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.rows.doctor.fix_report import Fixed
from pegbox_tui.rows.browsing import BrowsedRow
from pegbox_tui.rows.examined_rows import ExaminedRows, RowsAsked, look_at


def run(asked: argparse.Namespace) -> int:
    """Examine rows. Exit code 1: a run would refuse them as they are, or a shown row trains nothing."""
    rows_asked = _rows_asked(asked)
    _refuse(asked)
    if asked.screen:
        return _screen(asked.file, rows_asked)
    with _progress() as told:
        rows = look_at(rows_asked, told)
    shown = [rows.row(number) for number in _numbers(asked, rows)]
    fixed = _fixed(rows, asked)
    if asked.json:
        answer_json(_record(rows, shown, fixed))
    else:
        console = people_console(plain=asked.plain)
        if shown:
            show_rows(shown, of=rows.report.rows, console=console)
        else:
            show_report(rows.report, rows.rejected, name=asked.file, console=console, all_rejected=asked.rejected)
        if fixed is not None:
            show_fixed(fixed, console=console)
        elif not shown:
            show_next(_next(asked, rows), console=console)
    trains_nothing = any(row.shown is None or not row.shown.trained for row in shown)
    return 0 if rows.report.fit and not trains_nothing else 1


def _rows_asked(asked: argparse.Namespace) -> RowsAsked:
    """Read the options as a recipe would have them. Raises: Refusal: with every fault found."""
    rows = {"file": asked.file, "format": asked.format, "columns": _columns(asked.column)}
    split = {"share": asked.hold_out, "by": asked.by, "stratify": asked.stratify, "file": asked.eval}
    table: dict[str, Any] = {
        "model": {"name": asked.model or "bundled"},
        "rows": rows if asked.limit is None else {**rows, "limit": asked.limit},
        "split": {key: value for key, value in split.items() if value is not None},
        "training": {"micro_batch": asked.micro_batch, **({} if asked.length is None else {"length": asked.length})},
    }
    recipe = recipe_from_table(table, file="the command line", folder=Path.cwd())
    source = RowSource(**{key: getattr(recipe.rows, key) for key in RowSource.__struct_fields__})
    from pegbox_runs.rows.held_out import held_out_source

    return RowsAsked(
        source=source,
        split=recipe.split,
        held_out=held_out_source(recipe),
        model=recipe.model if asked.model else None,
        balance=asked.balance,
        micro_batch=asked.micro_batch,
        length=asked.length,
    )


def _columns(given: list[str]) -> dict[str, str]:
    """Read NAME=COLUMN. Raises: Refusal: there is no equals sign."""
    columns = {}
    for one in given:
        name, equals, column = one.partition("=")
        if not equals:
            raise Refusal(f"--column {one_line(one, 80)}: give NAME=COLUMN, as in prompt=frage.")
        columns[name] = column
    return columns


def _refuse(asked: argparse.Namespace) -> None:
    """Refuse what couldn't be done, before any work. Raises: Refusal."""
    if asked.model is None and (asked.row is not None or asked.rows is not None):
        raise Refusal("--row and --rows show rows as a model sees them; give --model too, as in --model bundled.")
    if asked.rows is not None and asked.rows < 1:
        raise Refusal(f"--rows {asked.rows}: show 1 or more.")
    if asked.keep and asked.fix is None:
        raise Refusal("--keep names findings that --fix leaves alone; give --fix FILE too.")
    if asked.fix is not None and user_path(asked.fix).exists():
        raise Refusal(f"--fix {asked.fix}: there is such a file already; name another one.")
    if asked.screen and (asked.json or asked.fix is not None or not can_draw()):
        raise Refusal("--screen needs a terminal at both ends, and goes with neither --json nor --fix.")


def _fixed(rows: ExaminedRows, asked: argparse.Namespace) -> Fixed | None:
    """Write the cleaned copy, where one was asked for. Raises: Refusal: it can't be written."""
    if asked.fix is None:
        return None
    from pegbox_runs.rows.doctor.fixing import fix

    return fix(rows.examined, user_path(asked.fix), keep=asked.keep)


def _next(asked: argparse.Namespace, rows: ExaminedRows) -> str:
    """Give the command that helps most now."""
    words = ["pegbox", "data", asked.file]
    if any(finding.fix for finding in rows.report.findings) and rows.report.rows:
        words += ["--eval", asked.eval] if asked.eval else []
        return shlex.join([*words, "--fix", "cleaned.jsonl"])
    return shlex.join([*words, "--model", asked.model or "MODEL", *(["--screen"] if asked.model else [])])


def _screen(name: str, asked: RowsAsked) -> int:
    """Open the data screen, and say what was taken there."""
    from pegbox_tui.rows.app import browse

    length = browse(name, lambda told: look_at(asked, told))
    if length is not None:
        say(f"training.length = {length}")
    return 0


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """Draw a bar on standard error where that is a terminal; nothing is left of it."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("reading rows"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task("", total=1.0, visible=False)

        def told(done: float) -> None:
            drawn.update(task, completed=done, visible=True)

        yield told


def _numbers(asked: argparse.Namespace, rows: ExaminedRows) -> list[int]:
    """Choose the rows to show."""
    if asked.row is not None:
        return [asked.row]
    return list(range(1, min(asked.rows or 0, rows.report.rows) + 1))


def _record(rows: ExaminedRows, shown: list[BrowsedRow], fixed: Fixed | None) -> dict[str, Any]:
    """Make the record of --json: the report as it is, and all that people may have asked for beside it."""
    whole = {**msgspec.to_builtins(rows.report), "fit": rows.report.fit, "rejected_rows": rows.rejected}
    if shown:
        whole["shown_rows"] = shown
    if fixed is not None:
        whole["fixed"] = fixed
    return whole
