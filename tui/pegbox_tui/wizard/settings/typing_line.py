"""A field to type a setting's value into, which says at once what isn't accepted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.fields import Field
from pegbox_tui.wizard.settings.fields import FormField
from pegbox_tui.wizard.settings.typed import NotAccepted, read_typed

LONGEST = 2000
"""Characters: of a list of module names; a note takes 500."""


class TypingLine(Vertical):
    """The field with its label and what is wrong with what stands in it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Leave it", priority=True)]

    @dataclass
    class Cancelled(Message):
        """The person leaves the value as it was."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._field: FormField | None = None

    @property
    def field(self) -> FormField:
        """What is typed into."""
        assert self._field is not None, "nothing was opened"  # noqa: S101 - the field is focused only when open
        return self._field

    def compose(self) -> ComposeResult:
        """Lay out the label, the field, and what is said of it."""
        yield Static(id="typing-label", markup=False)
        yield Field(id="typing-field", longest=LONGEST, compact=True, select_on_focus=False)
        yield Static(id="typing-said", markup=False)

    def open(self, field: FormField, value: str, *, begun: bool) -> None:
        """Begin with a value: the old one, which typing replaces, or what was typed already (`begun`)."""
        self._field = field
        self.query_one("#typing-label", Static).update(Text(f"{field.title}: {field.accepted}"))
        line = self.query_one(Field)
        line.value = value
        line.cursor_position = len(value)
        if not begun:
            line.select_all()
        line.focus()
        self._say(value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say at once what isn't accepted."""
        event.stop()
        if self._field is not None:
            self._say(event.value)

    def explanation(self) -> Explanation | None:
        """Explain what is typed into."""
        if self._field is None:
            return None
        return Explanation(self._field.title, f"{self._field.help}\n\nIt takes {self._field.accepted}.")

    def action_cancel(self) -> None:
        """Leave it."""
        self.post_message(TypingLine.Cancelled())

    def _say(self, value: str) -> None:
        try:
            read_typed(self.field, value)
            said = "Enter takes it, Escape leaves it as it was."
        except NotAccepted as wrong:
            said = f"! {wrong}"
        self.query_one("#typing-said", Static).update(Text(said))
