"""All keys of the data screen, on one page."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label

KEYS = (
    ("up, down", "choose a finding or another part of the report"),
    ("right or j, left or k", "next row, row before"),
    ("PageDown, PageUp", "ten rows on, ten rows back"),
    ("Home, End", "first row, last row"),
    ("n, Shift+N", "next row of the chosen finding, row before"),
    ("Space, b", "a page of a long row on, a page back"),
    ("m", "brackets in place of colors"),
    ("Tab", "to the details or the row; up and down scroll"),
    ("t", "leave, and take the recommended length"),
    ("q, Escape", "leave"),
)


class KeysScreen(ModalScreen[None]):
    """Says what each key does; any of those that leave closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,escape,q,enter", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        """Lay out a key a line."""
        with Vertical(id="keys"):
            yield Label("\n".join(f"{key:<23}{said}" for key, said in KEYS), markup=False)
