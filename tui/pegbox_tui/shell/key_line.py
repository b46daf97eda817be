"""The last line of a screen: its keys, which can be clicked too.

The library's footer makes a widget of each key, and all of them anew whenever the focus moves: that is a third of the
work up to the first frame, and bytes on the wire each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget

SHORTER = {"Explain": "Help", "Commands": "More"}
"""The keys that lead to all the others, in their order at the line's end, with shorter words for a narrow terminal."""


class KeyPart(NamedTuple):
    """One key as it is shown, and what it is pressed by."""

    key: str
    shown: str
    does: str
    enabled: bool

    gap: int = 1
    """Cells that stay free behind it."""

    @property
    def words(self) -> str:
        """What stands in the line, with the space before it and behind it."""
        return f" {self.shown} {self.does}".rstrip() + " " * self.gap

    @property
    def width(self) -> int:
        """Cells that it takes."""
        return cell_len(self.words)


class KeyLine(Widget):
    """Draws the keys of the screen that it is on; what has no room is found by `?` and in the palette."""

    DEFAULT_CSS = """
    KeyLine {
        dock: bottom;
        height: 1;
        width: 100%;
        background: $panel;
        color: $foreground;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[KeyPart] = []

    def on_mount(self) -> None:
        """Follow the focus."""
        self.screen.bindings_updated_signal.subscribe(self, self._look)
        self._look(self.screen)

    def _look(self, screen: Screen[Any]) -> None:
        parts = parts_of(screen) if self.is_attached and self.screen is screen else self._parts
        if parts != self._parts:
            self._parts = parts
            self.refresh()

    def render(self) -> Text:
        """Draw as many keys as have room."""
        text = Text(no_wrap=True, end="")
        for part in fitting(self._parts, self.size.width):
            key = f" {part.shown}"
            text.append(key, "bold" if part.enabled else "dim")
            text.append(part.words[len(key) :], "" if part.enabled else "dim")
        return text

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002 - the base class's
        """Take one line, always."""
        return 1

    def on_click(self, event: events.Click) -> None:
        """Press the key that was clicked."""
        cell = event.x
        for part in fitting(self._parts, self.size.width):
            if cell < part.width:
                self.app.simulate_key(part.key)
                return
            cell -= part.width


def parts_of(screen: Screen[Any]) -> list[KeyPart]:
    """List the keys that a screen shows, one for each thing that is done. Help and the palette come last."""
    focused = screen.focused
    parts: dict[str, KeyPart] = {}
    for key, active in screen.active_bindings.items():
        binding = active.binding
        palette = binding.action == "command_palette"
        typed = key == "question_mark" and focused is not None and focused.check_consume_key(key, "?")
        if binding.action in parts or typed or not (binding.show or palette):
            continue
        shown = "f1" if key == "f1" else screen.app.get_key_display(binding)
        parts[binding.action] = KeyPart(key, shown, "Commands" if palette else binding.description, active.enabled)
    return sorted(parts.values(), key=lambda part: [*SHORTER].index(part.does) if part.does in SHORTER else -1)


def fitting(parts: Sequence[KeyPart], width: int) -> list[KeyPart]:
    """Take as many as have room, and in any case those that lead to all others; their words are the first to go,
    after the room between keys."""
    if sum(part.width for part in parts) <= width:
        return [*parts]
    shorter = [part._replace(does=SHORTER.get(part.does, part.does)) for part in parts]
    if sum(part.width for part in shorter) <= width:
        return shorter
    close = [part._replace(gap=0) for part in shorter]
    if sum(part.width for part in close) <= width:
        return close
    bare = [part._replace(does="" if part.does in SHORTER else part.does, gap=0) for part in parts]
    kept = [part for part, given in zip(bare, parts, strict=True) if given.does in SHORTER]
    room = width - sum(part.width for part in kept)
    taken = []
    for part in bare[: len(bare) - len(kept)]:
        room -= part.width
        if room < 0:
            break
        taken.append(part)
    return [*taken, *kept]
