"""Rows token by token on the command line: in colors, or in brackets where there are none."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from pegbox_runs.printable import printable
from pegbox_tui.rows.browsing import BrowsedRow
from pegbox_tui.rows.mask_text import bracket_legend, bracketed, legend, mask_text, tokens_in_words

MOST_TOKENS = 50_000
"""Tokens that are printed of one row."""


def show_rows(rows: Sequence[BrowsedRow], *, of: int, console: Console) -> None:
    """Print rows under their places; the legend stands last, once."""
    colors = has_colors(console)
    for row in rows:
        console.print(_head(row, of))
        if row.shown is None:
            console.print(Padding(Text(printable(row.fault), "red"), (0, 0, 0, 1)))
        else:
            console.print(
                Padding(
                    mask_text(row.shown, most=MOST_TOKENS) if colors else bracketed(row.shown, most=MOST_TOKENS),
                    (0, 0, 0, 1),
                )
            )
            for note in row.shown.notes:
                console.print(Padding(Text(printable(note), "yellow"), (0, 0, 0, 1)))
        console.print()
    if any(row.shown is not None for row in rows):
        console.print(legend() if colors else bracket_legend())


def has_colors(console: Console) -> bool:
    """Tell whether colors can carry a meaning here: not with NO_COLOR, on a dumb terminal, or in a file."""
    return console.color_system is not None and not console.no_color


def _head(row: BrowsedRow, of: int) -> Text:
    counted = "" if row.shown is None else f": {tokens_in_words(row.shown)}"
    return Text(f"row {row.number:,} of {of:,}, {printable(row.place)}{counted}", "bold")
