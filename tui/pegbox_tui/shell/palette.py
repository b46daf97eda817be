"""The command palette: what the active screen offers, and what all of Pegbox does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, runtime_checkable

from rich.markup import escape
from textual.command import CommandInput, CommandPalette, DiscoveryHit, Hit, Hits, Provider, SearchIcon
from textual.content import Content

from pegbox_runs.printable import one_line

Command = tuple[str, str, Callable[[], None]]
"""(title, what it does, action)."""


@runtime_checkable
class Offers(Protocol):
    """A screen or app that has commands for the palette."""

    def commands(self) -> Iterable[Command]:
        """List them as they are now. Titles and helps may hold text from outside."""


class Commands(Provider):
    """Finds commands by what is typed of their titles."""

    async def discover(self) -> Hits:
        """Give all commands, before anything is typed: the screen's first."""
        for title, does, action in self._offered():
            yield DiscoveryHit(Content(title), action, text=title, help=escape(does))

    async def search(self, query: str) -> Hits:
        """Give the commands whose title matches."""
        matcher = self.matcher(query)
        for title, does, action in self._offered():
            if (score := matcher.match(title)) > 0:
                yield Hit(score, matcher.highlight(title), action, text=title, help=escape(does))

    def _offered(self) -> Iterator[Command]:
        for offering in (self.screen, self.app):
            if isinstance(offering, Offers):
                for title, does, action in offering.commands():
                    yield one_line(title, 60), one_line(does, 200), action


class Palette(CommandPalette):
    """The library's palette, without what blinks, and without a picture that some terminals draw one cell wide."""

    def on_mount(self) -> None:
        """Quieten it."""
        self.query_one(CommandInput).cursor_blink = False
        self.query_one(SearchIcon).icon = ">"
