"""What `?` opens: the focused thing in plain words, whose word it is, and the keys of the screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from pegbox_runs.printable import one_line, printable
from pegbox_tui.shell.explaining import Explanation, explained

KEY_WIDTH = 16
MANNERS = (
    ("tab, shift+tab", "to the next part of the screen, to the one before"),
    ("arrows", "move inside a part; Enter chooses"),
)
"""What no binding of a screen says, because the library brings it."""

SILENT = {"app.focus_next", "app.focus_previous", "screen.copy_text", "quit"}
"""Actions that the library binds on every screen of ours; `MANNERS` says the first two."""


class HelpScreen(ModalScreen[None]):
    """Explains a screen as it is now; any of the keys that leave closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark,f1", "dismiss", "Close", key_display="esc"),
    ]
    DEFAULT_CSS = """
    HelpScreen {
        align: center middle;
    }
    HelpScreen > #help {
        width: 76;
        max-width: 96%;
        height: auto;
        max-height: 94%;
        padding: 0 1;
        border: round $primary;
        border-title-style: bold;
        border-subtitle-color: $text-muted;
        background: $surface;
        scrollbar-size-vertical: 1;
    }
    """

    def __init__(self, explained_screen: Screen[Any]) -> None:
        super().__init__()
        explanation = explained(explained_screen)
        self._title = explanation.title if explanation else explained_screen.title or "Help"
        self._said = help_text(explanation, tuple(keys_of(explained_screen)))

    def compose(self) -> ComposeResult:
        """Lay out one text that scrolls where the terminal is small."""
        with VerticalScroll(id="help") as frame:
            frame.border_title = Text(one_line(self._title, 60))
            frame.border_subtitle = "Esc closes"
            yield Static(self._said, markup=False)

    def on_mount(self) -> None:
        """Let the arrows scroll."""
        self.query_one("#help").focus()


def help_text(explanation: Explanation | None, keys: tuple[tuple[str, str], ...]) -> Text:
    """Write out an explanation, its source, and a key a line. What came from outside is made printable."""
    said = Text()
    if explanation is not None:
        said.append(printable(explanation.text).rstrip()).append("\n")
        if explanation.source:
            said.append("Source: ", "bold").append(printable(explanation.source).rstrip()).append("\n")
        said.append("\n")
    said.append("Keys here", "bold")
    for key, does in (*keys, *MANNERS):
        said.append(f"\n{key:<{KEY_WIDTH}}", "bold").append(does)
    return said


def keys_of(screen: Screen[Any]) -> Iterator[tuple[str, str]]:
    """List what keys do on a screen as (keys, what), those of one action together.

    What the library's widgets bind silently (forty keys to move in a text field) is left out.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for key, active in screen.active_bindings.items():
        binding = active.binding
        ours = isinstance(active.node, Screen | App)
        if binding.description and (binding.show or ours) and binding.action not in SILENT:
            shown = found.setdefault((binding.action, binding.description), [])
            if key == "f1" and not shown:  # its display is `?`, which is a letter in a text field
                shown.append(key)
            else:
                shown.append(screen.app.get_key_display(binding) if binding.key_display or not shown else key)
    for (_, does), keys in found.items():
        yield ", ".join(dict.fromkeys(keys)), does
