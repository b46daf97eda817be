"""The pages of the dashboard, and what its line of keys names."""

from __future__ import annotations

from typing import NamedTuple

from rich.text import Text

from pegbox_runs.run_state import RunState
from pegbox_tui.dashboard.keys import working
from pegbox_tui.shell.choice_line import Choice, numbered_pages


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


def page_choices(shown: int) -> list[Choice]:
    """Give the key and the name of each page, the one that is shown in brackets."""
    return numbered_pages([page.title for page in PAGES], shown)


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
