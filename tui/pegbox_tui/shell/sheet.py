"""Lines on the screen of which only those are drawn anew that changed: bytes on a slow line are dear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from pegbox_runs.printable import printable

WHEEL_LINES = 3
TAB_CELLS = 4
"""A tab that reached the terminal would move its cursor, and leave what stood there before."""


class Sheet(Widget, can_focus=True):
    """Shows lines that were wrapped before. It scrolls by itself, without a new layout of the screen.

    The compositor writes a changed line from its widget's left edge to the last cell that is another.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_lines(-1)", show=False),
        Binding("down", "scroll_lines(1)", show=False),
        Binding("pageup", "scroll_pages(-1)", show=False),
        Binding("pagedown,space", "scroll_pages(1)", show=False),
        Binding("home", "scroll_to_line(0)", show=False),
        Binding("end", "scroll_to_line(1000000000)", show=False),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id=id, classes=classes)
        self._lines: list[Strip] = []
        self._top = 0
        self._drawn: list[Strip] = []
        """What the screen shows."""

    @property
    def top(self) -> int:
        """Which line is the first that is seen."""
        return self._top

    @property
    def text_width(self) -> int:
        """Cells that a line may take: the last one is the scroll bar's."""
        return max(self.content_size.width - 1, 1)

    @property
    def said(self) -> str:
        """All lines as plain text, those too that don't fit on the screen."""
        return "\n".join(strip.text.rstrip() for strip in self._lines)

    def put(self, lines: Sequence[Text], *, top: int | None = None) -> None:
        """Show these lines in place of the others, from the line on that was the first, or from another."""
        console = self.app.console
        self._lines = [Strip(line.render(console)) for line in lines]
        self._go_to(self._top if top is None else top)

    def wrapped(self, text: Text, width: int | None = None) -> list[Text]:
        """Break a text into lines of the sheet's width; spaces and breaks in it are kept."""
        return list(text.wrap(self.app.console, width or self.text_width, tab_size=TAB_CELLS))

    def action_scroll_lines(self, lines: int) -> None:
        """Scroll by some lines."""
        self._go_to(self._top + lines)

    def action_scroll_pages(self, pages: int) -> None:
        """Scroll by as much as is seen, less a line to go by."""
        self._go_to(self._top + pages * max(self.content_size.height - 1, 1))

    def action_scroll_to_line(self, line: int) -> None:
        """Scroll so that a line is the first, or the last line the last."""
        self._go_to(line)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll."""
        event.stop()
        self.action_scroll_lines(WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll."""
        event.stop()
        self.action_scroll_lines(-WHEEL_LINES)

    def render_line(self, y: int) -> Strip:
        """Give one line of what is seen; the library asks for it."""
        width = self.content_size.width
        strip = self._drawn[y] if y < len(self._drawn) else Strip.blank(width)
        return strip.adjust_cell_length(width).apply_style(self.rich_style)

    def on_resize(self) -> None:
        """Cut what is seen anew."""
        self._drawn = []
        self._go_to(self._top)

    def _go_to(self, top: int) -> None:
        """Show the lines from one on, and have the screen draw those that changed."""
        height = self.content_size.height
        self._top = min(max(top, 0), max(len(self._lines) - height, 0))
        seen = [self._with_bar(self._seen(row), row) for row in range(height)]
        before, self._drawn = self._drawn, seen
        if len(before) != len(seen):
            self.refresh()
            return
        changed = [
            Region(0, y, _last_difference(old, new), 1)
            for y, (old, new) in enumerate(zip(before, seen, strict=True))
            if old != new
        ]
        if changed:
            self.refresh(*changed)

    def _seen(self, row: int) -> Strip:
        number = self._top + row
        width = self.text_width
        return self._lines[number].adjust_cell_length(width) if number < len(self._lines) else Strip.blank(width)

    def _with_bar(self, strip: Strip, row: int) -> Strip:
        """Show in the last cell where one is, where not all can be seen."""
        height, lines = self.content_size.height, len(self._lines)
        if lines <= height:
            return strip
        begin = round(self._top * height / lines)
        size = max(round(height * height / lines), 1)
        here = min(begin, height - size) <= row < min(begin, height - size) + size
        return Strip([*strip, Segment("█" if here else "│")])


def _last_difference(old: Strip, new: Strip) -> int:
    """Give how many cells must be drawn so that nothing of the old line is left."""
    width = max(old.cell_length, new.cell_length)
    at, last = 0, width
    # From the right: pieces that are the same at the end needn't be drawn.
    for one, other in zip(reversed(list(old)), reversed(list(new)), strict=False):
        if one != other or old.cell_length != new.cell_length:
            break
        at += one.cell_length
    return max(last - at, 1)


class OneLine(Sheet, can_focus=False):
    """A line of text from wherever; cut at the screen's edge."""

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id=id)
        self._text = ""

    @property
    def said(self) -> str:
        """The whole text, also where it is cut or not shown."""
        return printable(self._text)

    @property
    def text_width(self) -> int:
        """All cells: nothing scrolls here."""
        return max(self.content_size.width, 1)

    def say(self, text: str) -> None:
        """Show a text."""
        self._text = text
        shown = Text(printable(text.replace("\n", " ").expandtabs(TAB_CELLS)), no_wrap=True)
        shown.truncate(self.text_width, overflow="ellipsis")
        self.put([shown])

    def on_resize(self) -> None:
        """Cut it anew."""
        self.say(self._text)
