"""The pages of the dashboard; the line that names them, and the line that names the keys."""

from __future__ import annotations

from typing import NamedTuple

from rich.text import Text
from textual import events

from pegbox_runs.run_state import RunState
from pegbox_tui.dashboard.keys import working
from pegbox_tui.dashboard.sheet import Sheet


class Page(NamedTuple):
    """What is seen together."""

    name: str
    """Ends the class that the screen has while it is shown: `-page-memory`."""
    title: str
    first: str
    """The panel that gets the focus."""


PAGES = (
    Page("overview", "Overview", "chart"),
    Page("answers", "Answers", "answers"),
    Page("memory", "Memory", "memory"),
    Page("ranks", "Ranks", "ranks"),
    Page("advice", "Advice", "advice"),
    Page("log", "Log", "log"),
)


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


def page_choices(shown: int) -> list[Choice]:
    """Give the key and the name of each page, the one that is shown in brackets."""
    found = []
    for number, page in enumerate(PAGES):
        name = f"{number + 1} {page.title}"
        text = Text(f"[{name}]", "bold reverse") if number == shown else Text(f" {name} ")
        found.append(Choice(text, f"page({number})"))
    return found


def key_choices(state: RunState, *, back: bool, runs: bool) -> list[Choice]:
    """Give the keys that a person needs most and that work now. `runs`: whether the list of runs can be opened."""
    asking = (
        ("p", "Resume" if state.status == "paused" else "Pause", "pause"),
        ("p", "Continue", "continue"),
        ("c", "Checkpoint", "checkpoint"),
        ("s", "Stop", "stop"),
        ("a", "Abort", "abort"),
    )
    works = working(state)
    keys = (
        ("q", "Back" if back else "Leave", "leave"),
        *(key for key in asking if key[2] in works),
        *((("^r", "Runs", "app.runs"),) if runs else ()),
        ("?", "Help" if runs else "Explain", "app.explain"),
        ("^p", "More" if runs else "Commands", "app.command_palette"),
    )
    return [Choice(Text(key, "bold").append(f" {does} ", "not bold"), action) for key, does, action in keys]
