"""Saving the recipe under a path: never over another file without asking, never half."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from pegbox_methods.home import user_path
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.whole_file import write_whole
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.fields import Field


class Exists(Exception):
    """There is a file of that name."""


def save(text: str, name: str, *, over: bool) -> Path:
    """Write a text under a path as people type it, whole or not at all.

    Raises: Exists: there is such a file, and it isn't to be replaced; Refusal: it can't be written.
    """
    said = name.strip()
    if not said:
        raise Refusal("give a path, such as ~/recipe.toml.")
    path = user_path(said)
    try:
        if path.is_dir():
            raise Refusal(f"{one_line(str(path), 200)}: a folder. Add a file's name, such as recipe.toml.")
        if not path.parent.is_dir():
            raise Refusal(f"{one_line(str(path.parent), 200)}: there is no such folder. Make it, or take another.")
        if path.exists() and not over:
            raise Exists
        write_whole(path, text.encode())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Refusal(f"{one_line(str(path), 200)}: can't be written: {why}.") from None
    return path


class SaveScreen(ModalScreen[Path | None]):
    """Returns where the recipe was saved; None: nowhere."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave it", priority=True)]

    def __init__(self, text: str, proposed: str) -> None:
        super().__init__()
        self._text = text
        self._proposed = proposed

    def compose(self) -> ComposeResult:
        """Lay out a field and what is said of it."""
        with Vertical(id="save"):
            yield Static("Save the recipe as", markup=False)
            yield Field(self._proposed, id="save-path")
            yield Static("Enter saves, Escape leaves it. ~ is your home.", id="save-said", markup=False)

    def on_mount(self) -> None:
        """Take the keys."""
        self.query_one(Field).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Save, and ask before another file is replaced."""
        event.stop()
        self._save(event.value, over=False)

    def action_leave(self) -> None:
        """Save nothing."""
        self.dismiss(None)

    def explanation(self) -> Explanation | None:
        """Explain the field."""
        text = "A path, from here or absolute; ~ is your home. A file that exists is replaced only after asking."
        return Explanation("Where the recipe is saved", text)

    def _save(self, name: str, *, over: bool) -> None:
        try:
            self.dismiss(save(self._text, name, over=over))
        except Exists:
            question = f"{one_line(name.strip(), 200)} exists already. Replace it?"
            self.app.push_screen(
                ConfirmScreen(question, yes="Replace", no="Keep it"),
                lambda sure: self._save(name, over=True) if sure else None,
            )
        except Refusal as refusal:
            self.query_one("#save-said", Static).update(Text(f"! {refusal.sentence}"))
