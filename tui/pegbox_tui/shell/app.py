"""The app that every screen lives in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.filter import LineFilter
from textual.geometry import Size
from textual.screen import Screen

from pegbox_tui.shell.ascii_lines import AsciiLines
from pegbox_tui.shell.bursts import gathered, is_letter, takes_letters
from pegbox_tui.shell.cover import at_least, cover_sequence, too_small
from pegbox_tui.shell.look import Look, keep_choice
from pegbox_tui.shell.threads import LooseThreads

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pegbox_tui.shell.palette import Command

Answer = TypeVar("Answer")

KEYS_UNDER_COVER = {"ctrl+c", "ctrl+q"}


def _commands_provider() -> type[Provider]:
    from pegbox_tui.shell.palette import Commands  # the first frame needs no palette

    return Commands


class PegboxApp(App[Answer]):
    """Keys, colors and manners that all of Pegbox' screens have.

    A screen's `commands()` are found in the palette, its `explanation()` by `?`. Nothing here touches a run.
    """

    TITLE = "Pegbox"
    CSS_PATH = Path(__file__).with_name("shell.tcss")
    COMMANDS = {_commands_provider}  # noqa: RUF012 - the base class declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "leave", "Leave", show=False, priority=True),
        Binding("q", "leave", "Leave", show=False),
        Binding("question_mark,f1", "explain", "Explain", key_display="?"),
    ]

    def __init__(self, look: Look | None = None) -> None:
        super().__init__()
        self.look = look or Look()
        self._ascii_lines = AsciiLines()
        self._terminal: Size | None = None
        self.animation_level = "none"
        self.theme = theme_name(dark=self.look.dark)

    async def run_async(self, *, mouse: bool = True, **given: Any) -> Answer | None:
        """Run with the mouse, where the terminal can do without harm."""
        return await super().run_async(mouse=mouse and self.look.mouse, **given)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Give what each drawn line goes through."""
        filters = super().get_line_filters()
        return [*filters, self._ascii_lines] if self.look.ascii else filters

    def on_mount(self) -> None:
        """Let no thread hold who leaves."""
        if not self.is_headless:
            asyncio.get_running_loop().set_default_executor(LooseThreads())

    @property
    def size(self) -> Size:
        """The size that screens are laid out in: the terminal's, unless that is too small for any."""
        return at_least(super().size)

    @property
    def is_covered(self) -> bool:
        """Whether the terminal is too small, so that only that is shown."""
        return too_small(self._terminal or super().size)

    async def on_event(self, event: events.Event) -> None:
        """Take keys, mouse and size. What can't be seen isn't acted on: under the cover only leaving works."""
        if isinstance(event, events.Resize):
            event = self._fitted(event)
        elif self.is_covered and isinstance(event, events.InputEvent | events.Paste) and not leaves(event):
            return
        elif isinstance(event, events.Key) and is_letter(event) and takes_letters(self.focused):
            event = await gathered(event, self)
        await super().on_event(event)

    def _fitted(self, event: events.Resize) -> events.Resize:
        """Cover or uncover; give the size that the screens shall have."""
        was_covered, self._terminal = self.is_covered, event.size
        if self.is_covered:
            if self._driver is not None and not self.is_headless:
                self._driver.write(cover_sequence(event.size))
                self._driver.flush()
        elif was_covered:
            self.call_later(self.refresh)
        return events.Resize(at_least(event.size), at_least(event.virtual_size))

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Write what was drawn to the terminal, unless it has no room for that."""
        if not self.is_covered:
            super()._display(screen, renderable)

    def action_leave(self) -> None:
        """Leave without an answer."""
        self.exit()

    async def action_quit(self) -> None:
        """Leave as every other way does."""
        self.action_leave()

    def action_explain(self) -> None:
        """Explain the focused thing."""
        from pegbox_tui.shell.help import HelpScreen

        self.push_screen(HelpScreen(self.screen))

    def action_command_palette(self) -> None:
        """Open the palette; not over itself or a question."""
        from pegbox_tui.shell.palette import Palette

        if not self.screen.is_modal:
            self.push_screen(Palette(id="--command-palette"))

    def commands(self) -> Iterable[Command]:
        """List what can be done on every screen."""
        dark, calm = self.look.dark, self.look.calm
        other = "light" if dark else "dark"
        yield (f"Colors: {other}", f"a {other} background; remembered", partial(self.choose_theme, dark=not dark))
        if calm:
            yield ("Calm: off", "draw as often as news come; remembered", partial(self.choose_calm, calm=False))
        else:
            yield (
                "Calm: on",
                "no animation, one update every five seconds: for slow lines; remembered",
                partial(self.choose_calm, calm=True),
            )
        yield ("Explain", "the focused thing in plain words, and the keys here (?)", self.action_explain)
        yield ("Leave", "close Pegbox; a run goes on (q)", self.action_leave)

    def choose_theme(self, *, dark: bool) -> None:
        """Draw dark or light, now and the next time."""
        self.look = replace(self.look, dark=dark)
        self.theme = theme_name(dark=dark)
        self._keep("theme", "dark" if dark else "light")

    def choose_calm(self, *, calm: bool) -> None:
        """Draw seldom or not, now and the next time."""
        self.look = replace(self.look, calm=calm)
        self._keep("calm", calm)

    def _keep(self, name: str, value: object) -> None:
        try:
            keep_choice(name, value)
        except OSError as error:
            self.notify(f"It can't be remembered: {error.strerror}.", severity="warning", markup=False)


def leaves(event: events.Event) -> bool:
    """Tell whether an event is a key that leaves wherever it is pressed."""
    return isinstance(event, events.Key) and event.key in KEYS_UNDER_COVER


def theme_name(*, dark: bool) -> str:
    """Name the library's theme."""
    return "textual-dark" if dark else "textual-light"
