"""A list to choose from, whose chosen line is told by a sign: colors are lost on many terminals."""

from __future__ import annotations

from rich.segment import Segment
from textual.strip import Strip
from textual.widgets import OptionList

HERE = ">"
"""Before the line that Enter takes."""
ELSEWHERE = "·"
"""The same in a list that the keys don't go to now."""


class ChoiceList(OptionList):
    """An OptionList that ends at its ends, and always has a chosen line where there is one to choose.

    The sign stands in the first cell of a line, which its padding keeps free.
    """

    DEFAULT_CSS = """
    ChoiceList {
        border: none;
        padding: 0;
        background: $background;
        scrollbar-size-vertical: 1;
    }
    ChoiceList:focus {
        border: none;
    }
    ChoiceList > .option-list--option {
        padding: 0 1 0 2;
    }
    ChoiceList > .option-list--option-highlighted {
        background: transparent;
        color: $foreground;
        text-style: none;
    }
    ChoiceList.-led > .option-list--option-highlighted, ChoiceList:focus > .option-list--option-highlighted {
        background: $panel-lighten-2;
        color: $text;
        text-style: bold;
    }
    """

    def lead(self, *, led: bool = True) -> None:
        """Draw it as having the keys though a text field has them, which moves in it."""
        self.set_class(led, "-led")

    @property
    def has_keys(self) -> bool:
        """Whether the keys move in it."""
        return self.has_focus or self.has_class("-led")

    def choose(self, number: int | None) -> None:
        """Choose the line of a number, or the nearest that can be chosen; of None the first."""
        open_ = self.open_lines()
        wanted = number or 0
        self.highlighted = min(open_, key=lambda line: (abs(line - wanted), line < wanted)) if open_ else None

    def open_lines(self) -> list[int]:
        """Give the numbers of the lines that can be chosen: all but headings and what is refused."""
        return [number for number, option in enumerate(self.options) if not option.disabled]

    def move(self, by: int) -> None:
        """Go on or back over what can't be chosen."""
        open_ = self.open_lines()
        if open_:
            here = open_.index(self.highlighted) if self.highlighted in open_ else 0
            self.highlighted = open_[min(max(0, here + by), len(open_) - 1)]

    def on_focus(self) -> None:
        """Have something chosen, so that Enter does something."""
        if self.highlighted not in self.open_lines():
            self.choose(self.highlighted)

    def action_cursor_up(self) -> None:
        """Go up; what stands above the first line, as a heading, is shown with it."""
        self.move(-1)
        if self.highlighted in self.open_lines()[:1]:
            self.scroll_home(animate=False)

    def action_cursor_down(self) -> None:
        """Go down, to the last line at most."""
        self.move(1)

    def render_line(self, y: int) -> Strip:
        """Put the sign before the chosen line."""
        strip = super().render_line(y)
        number, line = self._option_at(y)
        if number is None or number != self.highlighted or line or self.options[number].disabled:
            return strip
        first, *_ = [*strip.crop(0, 1)]
        sign = HERE if self.has_keys else ELSEWHERE
        marked = Segment(sign if first.text.isspace() else first.text, first.style)
        return Strip.join([Strip([marked], 1), strip.crop(1)])

    def _option_at(self, y: int) -> tuple[int | None, int]:
        """Say which option is drawn in a line of the widget, and which line of that option."""
        at = y + self.scroll_offset.y
        return self._lines[at] if 0 <= at < len(self._lines) else (None, 0)
