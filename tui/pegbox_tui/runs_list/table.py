"""The lines of the list. Only those that changed are drawn anew: bytes on the wire count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from pegbox_runs.listing import ListedRun
from pegbox_tui.runs_list.columns import Placed, line_of, placed


class RunsTable(ScrollView, can_focus=True):
    """Draws runs a line each, and moves a cursor over them that stays on its run when others come and go."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"runs-table--line", "runs-table--chosen"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "go(0)", show=False),
        Binding("end,G", "go(-1)", show=False),
        Binding("enter", "open", "Open", key_display="↵", tooltip="the chosen run's dashboard, also after its end"),
    ]

    @dataclass
    class Moved(Message):
        """The cursor is on another run, or its run changed."""

        run: ListedRun | None

    @dataclass
    class Opened(Message):
        """A run was taken, by Enter or a double click."""

        run: ListedRun

    def __init__(self, chosen: str | None = None) -> None:
        super().__init__(id="runs")
        self._runs: Sequence[ListedRun] = ()
        self._chosen = chosen
        self._cursor = 0

    @property
    def run(self) -> ListedRun | None:
        """The run under the cursor."""
        return self._runs[self._cursor] if self._runs else None

    @property
    def columns(self) -> tuple[Placed, ...]:
        """The columns that there is room for."""
        return placed(self.scrollable_content_region.width)

    def show(self, runs: Sequence[ListedRun]) -> None:
        """Draw these runs, and of what was drawn before only what differs."""
        before, cursor_before, run_before = self._runs, self._cursor, self.run
        self._runs = runs
        ids = [run.id for run in runs]
        if self._chosen in ids:
            self._cursor = ids.index(self._chosen)
        elif cursor_before >= len(runs):
            self._cursor = max(0, len(runs) - 1)
        changed = [place for place, (old, new) in enumerate(zip(before, runs, strict=False)) if old != new]
        changed += [cursor_before, self._cursor] if cursor_before != self._cursor else []
        if len(before) != len(runs):
            self.virtual_size = Size(0, len(runs))
            self.refresh()
        else:
            for place in changed:
                self._refresh_shown(place)
        if self._cursor != cursor_before:
            self._scroll_there()
        if self.run != run_before:
            self.post_message(self.Moved(self.run))

    def render_line(self, y: int) -> Strip:
        """Draw the line in that place of what is seen."""
        place = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        chosen = place == self._cursor
        style = self.get_component_rich_style("runs-table--chosen" if chosen else "runs-table--line")
        if place >= len(self._runs):
            return Strip.blank(width, style)
        line = line_of(self._runs[place], self.columns, chosen=chosen)
        strip = Strip(line.render(self.app.console, end=""))
        return strip.apply_style(style).adjust_cell_length(width, style)

    def action_move(self, lines: int) -> None:
        """Go up or down."""
        self._go(self._cursor + lines)

    def action_page(self, pages: int) -> None:
        """Go up or down by what is seen at once."""
        self._go(self._cursor + pages * max(1, self.size.height - 1))

    def action_go(self, place: int) -> None:
        """Go to the first or the last."""
        self._go(place if place >= 0 else len(self._runs) - 1)

    def action_open(self) -> None:
        """Take the run under the cursor."""
        if self.run is not None:
            self.post_message(self.Opened(self.run))

    def on_click(self, event: events.Click) -> None:
        """Choose a line; open it with a second click."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y + self.scroll_offset.y >= len(self._runs):
            return
        self._go(offset.y + self.scroll_offset.y)
        if event.chain == 2:
            self.action_open()

    def _go(self, place: int) -> None:
        place = min(max(0, place), len(self._runs) - 1)
        if not self._runs or place == self._cursor:
            return
        before, self._cursor = self._cursor, place
        self._chosen = self._runs[place].id
        self._refresh_shown(before)
        self._refresh_shown(place)
        self._scroll_there()
        self.post_message(self.Moved(self.run))

    def _refresh_shown(self, place: int) -> None:
        if 0 <= place - self.scroll_offset.y < self.size.height:
            self.refresh_line(place)

    def _scroll_there(self) -> None:
        top, height = self.scroll_offset.y, max(1, self.size.height)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False)
