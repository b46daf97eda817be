"""The data screen: what is wrong with the rows, and what is trained of each."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line, printable
from pegbox_tui.rows.browsing import BrowsedRow, BrowsedRows, Look
from pegbox_tui.rows.mask_text import bracket_legend, bracketed, legend, mask_text, tokens_in_words
from pegbox_tui.rows.messages import Examination, RowBrowsed, RowsExamined
from pegbox_tui.rows.report_parts import bar, headline, histogram
from pegbox_tui.rows.sections import ABOUT, Detail, Section, Sections, ShownText, sections
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.key_line import KeyLine

PAGE = 10
"""Rows that PageDown leafs through."""
WIDE = 110
"""Columns from which the histogram has a place of its own."""


def _silent(key: str, action: str, does: str, *, first: bool = True) -> Binding:
    """Bind a key that the footer has no room for; `?` lists it."""
    return Binding(key, action, does, show=False, priority=first, tooltip=does)


class Left(Exception):
    """The person left while the rows were read."""


class RowsScreen(Screen[int | None]):
    """Draws one examination and one row at a time. Dismissed with the length the person takes, or None."""

    CSS_PATH = "rows.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - the base class declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,j", "leaf(1)", "Next", key_display="→", priority=True),
        Binding("left,k", "leaf(-1)", "Before", key_display="←", priority=True),
        _silent("pagedown", f"leaf({PAGE})", "ten rows on"),
        _silent("pageup", f"leaf(-{PAGE})", "ten rows back"),
        _silent("home", "first", "the first row"),
        _silent("end", "last", "the last row"),
        Binding("n", "example(1)", "Of these"),
        _silent("N", "example(-1)", "the row before, of those of the chosen finding", first=False),
        _silent("space", "scroll_row(1)", "a page of a long row on", first=False),
        _silent("b", "scroll_row(-1)", "a page of a long row back", first=False),
        Binding("m", "brackets", "Brackets"),
        Binding("t", "take", "Take length"),
        Binding("q,escape", "leave", "Leave", key_display="q"),
    ]

    def __init__(self, name: str, look: Look) -> None:
        super().__init__()
        self._name_of_rows = name
        self._look = look
        self._left = threading.Event()
        self._reading = threading.Lock()
        self._sections: dict[str, Section] = {}
        self._section: Section | None = None
        self._wanted = 0
        self._brackets = False
        self.state = Examination()
        self.row: BrowsedRow | None = None

    def compose(self) -> ComposeResult:
        """Lay out: a headline, the report (a list, details, lengths), a row with its legend."""
        yield Static(id="headline", markup=False)
        with Horizontal(id="report"):
            yield Sections()
            with Detail(id="detail"):
                yield Static(id="detail-text", markup=False)
            with Vertical(id="lengths"):
                yield Static(id="lengths-text", markup=False)
        with Vertical(id="browser"):
            yield Static(id="row-head", markup=False)
            with ShownText(id="row-scroll"):
                yield Static(id="row", markup=False)
            yield Static(id="legend", markup=False)
        yield KeyLine()

    def explanation(self) -> Explanation | None:
        """Explain the screen."""
        return ABOUT

    def on_mount(self) -> None:
        """Begin to read."""
        self._draw_progress()
        self._examine()

    def on_unmount(self) -> None:
        """Let the reading thread go; Python would wait for it at its exit."""
        self._left.set()

    @work(thread=True, exclusive=True, group="examination")
    def _examine(self) -> None:
        try:
            rows = self._look(self._told)
        except Left:
            return
        except Refusal as refusal:
            self.post_message(RowsExamined(Examination(refusal=refusal.sentence)))
        else:
            self.post_message(RowsExamined(Examination(1.0, rows)))

    def _told(self, done: float) -> None:
        """Pass the share done on, from the reading thread. Raises: Left."""
        if self._left.is_set():
            raise Left
        self.post_message(RowsExamined(Examination(done)))

    @work(thread=True, exclusive=True, group="row")
    def _read_row(self, rows: BrowsedRows, number: int) -> None:
        with self._reading:
            if number == self._wanted and not self._left.is_set():
                self.post_message(RowBrowsed(_row(rows, number)))

    def on_rows_examined(self, message: RowsExamined) -> None:
        """Draw the newest state."""
        self.state = message.state
        rows = message.state.rows
        if rows is None:
            self._draw_progress()
            return
        self.query_one("#headline", Static).update(headline(rows.report))
        if rows.report.lengths is not None:
            self.query_one("#lengths-text", Static).update(histogram(rows.report.lengths, 22))
        self._sections = {section.name: section for section in sections(rows)}
        choices = self.query_one(Sections)
        choices.clear_options()
        choices.add_options([Option(section.label, id=section.name) for section in self._sections.values()])
        choices.highlighted = 0
        choices.focus()
        self._leaf_to(1)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show the details of what is chosen."""
        self._section = self.query_one(Sections).section = self._sections[event.option.id or ""]
        self.query_one("#detail-text", Static).update(self._section.detail)
        self.query_one("#detail", VerticalScroll).scroll_home(animate=False)

    def on_option_list_option_selected(self) -> None:
        """Go to a row of the finding."""
        self.action_example(1)

    def on_row_browsed(self, message: RowBrowsed) -> None:
        """Draw the row, unless another one is wanted by now."""
        if message.row.number == self._wanted:
            self.row = message.row
            self._draw_row()
            self.query_one("#row-scroll", VerticalScroll).scroll_home(animate=False)

    def action_leaf(self, rows: int) -> None:
        """Go on or back by so many rows."""
        self._leaf_to(self._wanted + rows)

    def action_first(self) -> None:
        """Go to the first row."""
        self._leaf_to(1)

    def action_last(self) -> None:
        """Go to the last row."""
        if self.state.rows is not None:
            self._leaf_to(self.state.rows.report.rows)

    def action_example(self, step: int) -> None:
        """Go to the next row of the chosen finding, or to the one before; around at the end."""
        if self.state.rows is None or self._section is None:
            return
        numbers = self.state.rows.rows_of(self._section.finding) if self._section.finding else ()
        if not len(numbers):
            self.notify("No row that could be shown belongs to this.", severity="warning")
            return
        if step > 0:
            self._leaf_to(numbers[bisect_right(numbers, self._wanted) % len(numbers)])
        else:
            self._leaf_to(numbers[bisect_left(numbers, self._wanted) - 1])

    def action_scroll_row(self, pages: int) -> None:
        """Scroll a long row by a page."""
        row = self.query_one("#row-scroll", VerticalScroll)
        row.scroll_relative(y=pages * max(1, row.size.height - 1), animate=False)

    def action_brackets(self) -> None:
        """Switch between colors and brackets."""
        self._brackets = not self._brackets
        self._draw_row()

    def action_take(self) -> None:
        """Leave with the recommended length."""
        rows = self.state.rows
        if rows is None or rows.report.lengths is None:
            self.notify("No length is known.", severity="warning")
            return
        self.dismiss(rows.report.lengths.recommended)

    def action_leave(self) -> None:
        """Leave with nothing."""
        self.dismiss(None)

    def _leaf_to(self, number: int) -> None:
        rows = self.state.rows
        if rows is None or not rows.report.rows:
            return
        self._wanted = min(max(1, number), rows.report.rows)
        self._read_row(rows, self._wanted)

    def _draw_progress(self) -> None:
        refusal, name = self.state.refusal, one_line(self._name_of_rows, 60)
        if refusal is not None:
            self.query_one("#headline", Static).update(f"{name} can't be read")
            self.query_one("#detail-text", Static).update(Text(printable(refusal), "red"))
            return
        self.query_one("#headline", Static).update(f"reading {name}")
        done = Text.assemble((bar(self.state.done), "cyan"), f" {100 * self.state.done:.0f} %")
        self.query_one("#detail-text", Static).update(done if self.state.done else "")

    def _draw_row(self) -> None:
        row = self.row
        if row is None or self.state.rows is None:
            return
        place = f" · {one_line(row.place, 60)}" if row.place else ""
        head = f"row {row.number:,} of {self.state.rows.report.rows:,}{place}"
        body = self.query_one("#row", Static)
        if row.shown is None:
            body.update(Text(printable(row.fault), "red"))
        else:
            head += f" · {tokens_in_words(row.shown)}"
            notes = Text("".join(f"\n{printable(note)}" for note in row.shown.notes), "yellow")
            shown = bracketed(row.shown, ascii_only=self._ascii) if self._brackets else mask_text(row.shown)
            body.update(shown.append(notes))
        self.query_one("#row-head", Static).update(head)
        self.query_one("#legend", Static).update(bracket_legend(ascii_only=self._ascii) if self._brackets else legend())

    @property
    def _ascii(self) -> bool:
        app = self.app
        return isinstance(app, PegboxApp) and app.look.ascii


def _row(rows: BrowsedRows, number: int) -> BrowsedRow:
    """Read a row, or say why it can't be read any more."""
    try:
        return rows.row(number)
    except Refusal as refusal:
        return BrowsedRow(number, "", None, refusal.sentence)
