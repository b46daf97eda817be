"""A line with a value that the arrow keys change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from pegbox_runs.printable import one_line
from pegbox_tui.shell.choice_list import HERE
from pegbox_tui.shell.explaining import Explanation

LABEL = 18
VALUE = 22


class ArrowField(Widget, can_focus=True):
    """One of several values, between two arrows; a click on an arrow does what the key does."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Less"),
        Binding("right", "move(1)", "More"),
        Binding("home", "move(-10000)", show=False),
        Binding("end", "move(10000)", show=False),
    ]

    @dataclass
    class Moved(Message):
        """Another value was chosen."""

        field: ArrowField
        value: str

        @property
        def control(self) -> ArrowField:
            """Name the sender, so that handlers can ask for one by its id."""
            return self.field

    def __init__(self, label: str, about: Explanation, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id, classes="arrow-field")
        self._label = label
        self._about = about
        self._values: tuple[str, ...] = ()
        self.value = ""

    def offer(self, values: Sequence[str], value: str) -> None:
        """Offer values, among them the one that is chosen."""
        self._values = tuple(values)
        self.value = value
        self.refresh()

    def explanation(self) -> Explanation:
        """Explain the field."""
        return self._about

    def render(self) -> Text:
        """Draw label, arrows and value; what can't be moved to has no arrow."""
        place = self._place()
        left, right = ("←" if place > 0 else " "), ("→" if place < len(self._values) - 1 else " ")
        label = f"{HERE if self.has_focus else ' '} {self._label}"
        return Text(f"{label:<{LABEL}}{left} {one_line(self.value, VALUE):^{VALUE}} {right}")

    def action_move(self, by: int) -> None:
        """Go to another value."""
        place = min(max(self._place() + by, 0), len(self._values) - 1)
        if self._values and self._values[place] != self.value:
            self.value = self._values[place]
            self.refresh()
            self.post_message(self.Moved(self, self.value))

    def on_click(self, event: events.Click) -> None:
        """Move where the arrow was hit."""
        if event.x >= LABEL:
            self.action_move(-1 if event.x < LABEL + 2 + VALUE // 2 else 1)

    def _place(self) -> int:
        return self._values.index(self.value) if self.value in self._values else 0
