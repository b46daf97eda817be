"""The line that one types into: the arrows move in the list below it, and Tab completes a path."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.fields import Field
from pegbox_tui.wizard.model.explanations import FIELD
from pegbox_tui.wizard.model.folders import is_path


class SearchField(Field):
    """Narrows, names, or walks through folders."""

    class Moved(Message):
        """The person moves in the list, by so many rows."""

        def __init__(self, rows: int) -> None:
            super().__init__()
            self.rows = rows

    class Completing(Message):
        """The person wants the path completed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", show=False),
        Binding("up", "move(-1)", show=False),
        Binding("pagedown", "move(8)", show=False),
        Binding("pageup", "move(-8)", show=False),
        Binding("tab", "complete", show=False),
    ]

    def action_move(self, rows: int) -> None:
        """Move in the list, and stay here."""
        self.post_message(self.Moved(rows))

    def action_complete(self) -> None:
        """Complete a path; of anything else go on to the list, as Tab does everywhere."""
        if is_path(self.value):
            self.post_message(self.Completing())
        else:
            self.screen.focus_next()

    def explanation(self) -> Explanation | None:
        """Say what can be typed."""
        return FIELD
