"""The columns of the leaderboard: what each tells, how wide it is, and what there is room for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from pegbox_runs.arena.results import Base
from pegbox_runs.figures import count, size
from pegbox_runs.printable import one_line
from pegbox_tui.arena.figures import brief_memory, nats, short_time
from pegbox_tui.arena.rows import Row
from pegbox_tui.arena.view import Sort
from pegbox_tui.shell.progress_bar import bar

GUTTER = 2
"""Cells in front of each line: the mark of the chosen one."""
BAR_CELLS = 4
SHORTEST_NAME, LONGEST_NAME = 6, 16
"""Cells that names get at least where there is no room for them, and before figures give way to them."""
BASE = "base model"
STEPPING = {"training", "evaluating"}
"""What an entry is at while its steps go on."""


class Column(NamedTuple):
    """One column. `tell` gives what it says of a row, as one line of any length."""

    title: str
    width: int
    tell: Callable[[Row], str]
    meaning: str
    sort: Sort | None = None
    """What it is sorted by."""
    right: bool = True
    flexible: int = 0
    """Its share of the room that is left."""
    most: int = 0
    """Cells that it takes at most; 0: what its text needs never ends."""


def _interval(row: Row) -> str:
    told = row.interval
    if told is None or told.low is None or told.high is None:
        return ""
    return f"{told.low:.3f}–{told.high:.3f}"


def _loss(row: Row) -> str:
    return ("~" if row.provisional and row.loss is not None else "") + nats(row.loss)


def state_in_words(row: Row) -> str:
    """Say what a contestant is at, with a bar where one of its entries is being trained."""
    one = row.contestant
    running = one.running
    if running is not None and running.doing not in STEPPING:
        return f"● {running.doing}"  # its steps stand still meanwhile
    if running is not None:
        return f"● {bar(running.share, BAR_CELLS)} {100 * running.share:3.0f} %"
    return STATES[one.standing][0]


STATES: dict[str, tuple[str, str]] = {
    "waiting": ("· waiting", ""),
    "running": ("● running", "cyan"),
    "part": ("… in part", ""),
    "done": ("✓ done", "green"),
    "failed": ("✗ failed", "red"),
}

PLACE = Column(
    "#",
    2,
    lambda row: "" if row.place is None else str(row.place),
    "Its place by loss. Who is tied shares one.",
    "place",
)
NAME = Column(
    "name", 10, lambda row: row.name, "The contestant's name; `Enter` opens its training.", "name", False, 1, 40
)
METHOD = Column(
    "method",
    9,
    lambda row: one_line(row.contestant.method, 40),
    "How it tunes; `pegbox methods` lists them.",
    None,
    False,
    1,
    16,
)
LOSS = Column(
    "loss",
    7,
    _loss,
    "How badly it guesses the held-out rows, in nats per token: a mean over its seeds. Lower is better. ~ stands "
    "before one that is only the newest evaluation of a training that goes on.",
    "loss",
)
INTERVAL = Column(
    "95 % range",
    11,
    _interval,
    "In which the loss lies with 95 % confidence, were the rows and seeds drawn anew. It is wide where rows are few.",
)
DIFFERENCE = Column(
    "to best",
    8,
    lambda row: row.difference,
    "By how much its loss is above the best one's, on the same rows and seeds. tied: that can't be told from chance. "
    "best: better than every other. lowest: the lowest, and nothing more can be told. ? behind it: nothing was told "
    "apart yet.",
)
MEMORY = Column(
    "memory",
    8,
    lambda row: brief_memory(row.memory, at_most=row.at_most),
    "Its highest peak on the device. On a CPU ≤ (< in ASCII) stands before it: at most, since trainings share a "
    "process, which keeps some memory of those before.",
    "memory",
)
TIME = Column(
    "time", 8, lambda row: short_time(row.seconds), "One training that counts: its steps, a mean over seeds.", "time"
)
SPEED = Column(
    "tokens/s", 8, lambda row: "-" if row.speed is None else count(row.speed), "Learned from in a second.", "speed"
)
SIZE = Column("adapter", 8, lambda row: size(row.size, brief=True), "What its result takes on disk.", "size")
FORGOT = Column(
    "forgot",
    8,
    lambda row: "-" if row.forgetting is None else f"{row.forgetting:+.4f}",
    "Forgetting: by how much its loss rose on general rows that have nothing to do with the task. Near 0, or below, "
    "is good.",
    "forgetting",
)
STATE = Column("state", 12, state_in_words, "What it is at; the bar is the entry that is being trained.", None, False)

COLUMNS = (PLACE, NAME, METHOD, LOSS, INTERVAL, DIFFERENCE, MEMORY, TIME, SPEED, SIZE, FORGOT, STATE)
"""As they are shown where there is room for all."""
GIVING_WAY = (METHOD, SIZE, SPEED, FORGOT, TIME, INTERVAL, MEMORY)
"""What a narrow terminal leaves out, in this order, except what it is sorted by; the card tells all of it."""


class Placed(NamedTuple):
    """A column, and the cells that it got."""

    column: Column
    width: int


def placed(width: int, sort: Sort, names: Iterable[str] = ()) -> tuple[Placed, ...]:
    """Choose the columns for so many cells, and share out what is left."""
    longest = max(map(cell_len, (BASE, *names)))
    named = NAME._replace(width=min(max(longest, SHORTEST_NAME), LONGEST_NAME))
    shown = [named if column is NAME else column for column in COLUMNS]
    for column in GIVING_WAY:
        if _needed(shown) > width and column.sort != sort:
            shown.remove(column)
    for column in GIVING_WAY:
        if _needed(shown) > width and column in shown:
            shown.remove(column)
    left = max(0, width - _needed(shown))
    shares = sum(column.flexible for column in shown) or 1
    more = {column.title: left * column.flexible // shares for column in shown}
    return tuple(Placed(one, min(one.width + more[one.title], one.most or one.width)) for one in shown)


def titles(columns: Sequence[Placed], sort: Sort) -> Text:
    """Write the line of titles; the one that the list is sorted by has an arrow."""
    cells = [_cell(column.title + ("↓" if column.sort == sort else ""), column, width) for column, width in columns]
    return Text(" " * (GUTTER + 2) + " ".join(cells), "bold", no_wrap=True)


def line_of(row: Row, columns: Sequence[Placed], *, chosen: bool) -> Text:
    """Write one row's line. Of what failed the reason stands where its figures would."""
    line = Text("> " if chosen else " " * GUTTER, no_wrap=True)
    line.append(row.sign.letter, f"bold {row.sign.color}").append(" ")
    failed = row.contestant.standing == "failed" and row.interval is None
    for number, (column, width) in enumerate(columns):
        line.append(" " if number else "")
        if failed and column.title not in (PLACE.title, NAME.title):
            room = sum(one.width + 1 for one in columns[number:]) - 1
            return line.append(_cut(f"✗ {reason(row)}", room), "red")
        style = STATES[row.contestant.standing][1] if column is STATE else ""
        if column is DIFFERENCE and row.difference == "best":
            style = "bold green"
        line.append(_cell(column.tell(row), column, width), style)
    return line


def reason(row: Row) -> str:
    """Say in a line why a contestant takes no further part."""
    one = row.contestant
    return one_line(("out of memory: " if one.out_of_memory else "failed: ") + (one.why or "it told no reason"), 300)


def base_line(base: Base | None, columns: Sequence[Placed]) -> Text:
    """Write row zero: the base model, untrained."""
    said = {"name": BASE, "loss": nats(base.loss) if base else "-", "state": "untrained", "#": "0"}
    cells = [_cell(said.get(column.title, ""), column, width) for column, width in columns]
    return Text(" " * (GUTTER + 2) + " ".join(cells), "dim", no_wrap=True)


def sort_at(cell: int, columns: Sequence[Placed]) -> Sort | None:
    """Tell by what the list is sorted once the title in a cell of the line is clicked."""
    begin = GUTTER + 2
    for column, width in columns:
        if begin <= cell < begin + width:
            return column.sort
        begin += width + 1
    return None


def _needed(columns: Sequence[Column]) -> int:
    return GUTTER + 2 + sum(column.width for column in columns) + len(columns) - 1


def _cut(said: str, width: int) -> str:
    return said if cell_len(said) <= width else set_cell_size(said, max(0, width - 1)) + "…"


def _cell(said: str, column: Column, width: int) -> str:
    """Fit a text into so many cells; wide characters count as the terminal draws them."""
    said = _cut(said, width)
    return " " * (width - cell_len(said)) + said if column.right else set_cell_size(said, width)
