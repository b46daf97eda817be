"""A line of things that are chosen by a key or by a click, as the pages of a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text
from textual import events

from pegbox_tui.shell.sheet import Sheet


class Choice(NamedTuple):
    """One thing in a line that can be clicked."""

    text: Text
    action: str
    """As in a key's binding."""


class ChoiceLine(Sheet, can_focus=False):
    """Choices beside each other. The library's own footer is made anew with each change of focus; this one stays."""

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id=id)
        self._choices: list[Choice] = []

    def offer(self, choices: list[Choice]) -> None:
        """Show these choices."""
        self._choices = choices
        self._write()

    def on_resize(self) -> None:
        """Write them anew."""
        self._write()

    async def on_click(self, event: events.Click) -> None:
        """Do what lies under the pointer."""
        at, begin = event.get_content_offset(self), 0
        for choice in self._choices:
            if at is not None and begin <= at.x < begin + choice.text.cell_len:
                await self.screen.run_action(choice.action)
            begin += choice.text.cell_len + 1

    def _write(self) -> None:
        self.put([Text(" ", no_wrap=True).join(choice.text for choice in self._choices)])


def numbered_pages(titles: Sequence[str], shown: int) -> list[Choice]:
    """Give the key and the name of each page, the one that is shown in brackets; `page(n)` leads there."""
    found = []
    for number, title in enumerate(titles):
        name = f"{number + 1} {title}"
        text = Text(f"[{name}]", "bold reverse") if number == shown else Text(f" {name} ")
        found.append(Choice(text, f"page({number})"))
    return found
