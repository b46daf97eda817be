"""The columns of the list: what each tells, how wide it is, and what there is room for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from pegbox_runs.figures import count, duration
from pegbox_runs.listing import ListedRun
from pegbox_runs.printable import one_line
from pegbox_tui.runs_list.states import STATES

GUTTER = 2
"""Cells in front of each line: the mark of the chosen one."""
BETWEEN = 1


class Column(NamedTuple):
    """One column. `tell` gives what it says of a run, as one line of any length."""

    name: str
    title: str
    width: int
    tell: Callable[[ListedRun], str]
    meaning: str
    right: bool = False
    flexible: int = 0
    """Its share of the room that is left."""


def state_in_words(run: ListedRun) -> str:
    """Say a run's state by sign and word."""
    return f"{STATES[run.status].sign} {run.status}"


def last_part(name: str | None) -> str:
    """Shorten a path or a Hub id to its last part."""
    return one_line((name or "-").rstrip("/").rpartition("/")[2] or "/", 200)


def this_year() -> int:
    """Give the year that goes without saying."""
    return time.localtime().tm_year


def moment(seconds: float | None) -> str:
    """Write a time as people here read it; with the year where it isn't this one."""
    if seconds is None:
        return "-"
    try:
        then = time.localtime(seconds)
    except (OverflowError, ValueError, OSError):  # a log from elsewhere may say anything
        return "-"
    return time.strftime("%d %b %H:%M" if then.tm_year == this_year() else "%d %b %Y", then)


def steps(run: ListedRun) -> str:
    """Say how far a run came."""
    if not run.steps and run.steps_planned is None:
        return "-"
    return _short(run.steps) + (f"/{_short(run.steps_planned)}" if run.steps_planned else "")


def loss(run: ListedRun) -> str:
    """Say from where to where the evaluation loss went."""
    if run.best_loss is None:
        return _nats(run.untrained_loss)
    return f"{_nats(run.untrained_loss)} to {_nats(run.best_loss)}"


def _nats(number: float | None) -> str:
    """Write a loss in four characters, so that a column of them can be compared."""
    if number is None:
        return "-"
    return f"{number:.2f}" if number < 10 else f"{number:.1f}" if number < 100 else f"{number:.3g}"


def _short(number: int) -> str:
    return str(number) if number < 100_000 else count(number).replace(" ", "")


STATE = Column("state", "state", 12, state_in_words, "What the run is at. Each state is explained below.")
STARTED = Column("started", "started", 12, lambda run: moment(run.started), "When its first worker began; local time.")
METHOD = Column(
    "method",
    "method",
    10,
    lambda run: one_line(run.method or "-", 80),
    "How it tunes; `pegbox methods` lists them.",
)
MODEL = Column("model", "model", 14, lambda run: last_part(run.model), "The model that is tuned.", flexible=1)
STEPS = Column(
    "steps",
    "steps",
    11,
    steps,
    "Optimizer steps taken, of those planned. Each looks at one effective batch of rows.",
    right=True,
)
LOSS = Column(
    "loss",
    "eval loss",
    12,
    loss,
    "How badly the model guesses held-out rows, which it never trains on: before the training, and at its best since. "
    "Lower is better. Only runs on the same model, rows and split can be compared by it.",
    right=True,
)
TOOK = Column(
    "took",
    "took",
    11,
    lambda run: duration(run.seconds) if run.seconds > 0 else "-",
    "From its first event to its last, with all waiting and pauses.",
    right=True,
)
ROWS = Column("rows", "rows", 12, lambda run: last_part(run.rows), "The file that it learns from.", flexible=1)
NOTE = Column("note", "note", 10, lambda run: one_line(run.note, 500), "Your remark: `output.note`.", flexible=3)

COLUMNS = (STATE, STARTED, METHOD, MODEL, STEPS, LOSS, TOOK, ROWS, NOTE)
"""As they are shown where there is room for all."""
GIVING_WAY = (NOTE, ROWS, TOOK, STARTED, METHOD)
"""What a narrow terminal leaves out, in this order; all of it stands below the list for the chosen run."""


class Placed(NamedTuple):
    """A column, and the cells that it got."""

    column: Column
    width: int


def placed(width: int) -> tuple[Placed, ...]:
    """Choose the columns for so many cells, and share out what is left."""
    shown = list(COLUMNS)
    for column in GIVING_WAY:
        if _needed(shown) > width:
            shown.remove(column)
    left = max(0, width - _needed(shown))
    shares = sum(column.flexible for column in shown) or 1
    return tuple(Placed(column, column.width + left * column.flexible // shares) for column in shown)


def titles(columns: Sequence[Placed], sorted_by: str) -> Text:
    """Write the line of titles; the one that the list is sorted by has an arrow."""
    cells = [
        _cell(column.title + (" ↓" if column.name == sorted_by else ""), column, width) for column, width in columns
    ]
    return Text(" " * GUTTER + (" " * BETWEEN).join(cells), "bold", no_wrap=True)


def line_of(run: ListedRun, columns: Sequence[Placed], *, chosen: bool) -> Text:
    """Write one run's line. What came from outside is text in it, never markup."""
    line = Text("> " if chosen else " " * GUTTER, no_wrap=True)
    for place, (column, width) in enumerate(columns):
        style = STATES[run.status].color if column is STATE else ""
        line.append(" " * BETWEEN if place else "").append(_cell(column.tell(run), column, width), style)
    return line


def _needed(columns: Sequence[Column]) -> int:
    return GUTTER + sum(column.width for column in columns) + BETWEEN * (len(columns) - 1)


def _cell(said: str, column: Column, width: int) -> str:
    """Fit a text into so many cells; wide characters count as the terminal draws them."""
    if cell_len(said) > width:
        return set_cell_size(said, width - 1) + "…"
    return " " * (width - cell_len(said)) + said if column.right else set_cell_size(said, width)
