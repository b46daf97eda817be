"""A line on the first screen about what goes on or is lost, runs and comparisons: who comes back looks for them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message
from textual.widgets import Static

from pegbox_runs.printable import one_line
from pegbox_tui.wizard.aside import aside

if TYPE_CHECKING:
    from pegbox_runs.listing import ListedRun
    from pegbox_runs.run_state import Status

GOING = frozenset({"new", "queued", "running", "restarting", "paused"})
MOST_LOOKS = 200
"""At the portions of long logs, so that a log which grows as fast as it is read ends too."""


@dataclass
class RunsSeen(Message):
    """The runs were looked at."""

    said: str


class RunsLine(Static):
    """Takes a line where there is something to say, and none otherwise."""

    DEFAULT_CSS = """
    RunsLine {
        display: none;
        height: 1;
        padding: 0 1;
        background: $panel;
        color: $foreground;
        text-style: bold;
        text-wrap: nowrap;
        text-overflow: ellipsis;
    }
    RunsLine.-telling {
        display: block;
    }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._left = threading.Event()

    def look(self) -> None:
        """Begin to look; the screen is drawn by then."""
        aside(lambda: RunsSeen(_seen(self._left)), self, self._left)

    def on_mount(self) -> None:
        """Look after the first frame, which waits for no log."""
        self.call_after_refresh(self.look)

    def on_unmount(self) -> None:
        """Let the thread end unheard."""
        self._left.set()

    def on_runs_seen(self, message: RunsSeen) -> None:
        """Say it."""
        message.stop()
        self.update(message.said)
        self.set_class(bool(message.said), "-telling")


def _seen(left: threading.Event) -> str:
    """Look at comparisons and runs, and say what goes on or is lost."""
    return " ".join(filter(None, (_comparisons_seen(), _runs_seen(left))))


def _comparisons_seen() -> str:
    """Look at all comparisons; one that can't be read is told of by their list."""
    from pegbox_runs.arena.comparison_folder import all_comparisons
    from pegbox_runs.viewing import state_of

    statuses = {}
    with suppress(Exception):
        for folder in all_comparisons():
            statuses[folder.id] = state_of(folder).status
    return comparisons_in_a_line(statuses)


def comparisons_in_a_line(statuses: Mapping[str, Status]) -> str:
    """Say what goes on, or else what is lost; empty: neither is there. The newest comparison comes last."""
    going = [one for one, status in statuses.items() if status in GOING]
    lost = [one for one, status in statuses.items() if status == "lost"]
    told = going or lost
    if not told:
        return ""
    many = "A comparison" if len(told) == 1 else f"{len(told)} comparisons"
    word = ("goes on" if len(told) == 1 else "go on") if going else ("is lost" if len(told) == 1 else "are lost")
    shows = "ctrl+o shows it" if told[-1] == [*statuses][-1] else f"`pegbox compare {told[-1]}` shows it"
    return f"{many} {word}; {shows}."


def _runs_seen(left: threading.Event) -> str:
    """Look at all runs; a folder that can't be read is told of by the list of runs."""
    from pegbox_runs.listing import Listing

    listing = Listing()
    runs: Sequence[ListedRun] = ()
    with suppress(Exception):
        for look in listing.look():
            runs = look.runs
            if left.is_set():
                return ""
        for _ in range(MOST_LOOKS):
            if left.is_set() or not listing.reading:
                break
            runs = listing.read_on().runs
    return runs_in_a_line(runs)


def runs_in_a_line(runs: Sequence[ListedRun]) -> str:
    """Say what goes on and what is lost, the newest by its method and model; empty: neither is there."""
    going, lost = [run for run in runs if run.carried], [run for run in runs if run.status == "lost"]
    told = going or lost
    if not told:
        return ""
    word = ("goes on" if len(going) == 1 else "go on") if going else ("is lost" if len(lost) == 1 else "are lost")
    many = "1 run" if len(told) == 1 else f"{len(told)} runs"
    more = "" if len(told) == 1 else ", and another" if len(told) == 2 else f", and {len(told) - 1} others"
    also = f"; {len(lost)} {'is' if len(lost) == 1 else 'are'} lost" if going and lost else ""
    shows = "it" if len(going) + len(lost) == 1 else "them"
    return f"{many} {word}: {_named(told[0])}{more}{also}; ctrl+r shows {shows}."


def _named(run: ListedRun) -> str:
    model = one_line((run.model or "?").rstrip("/").rpartition("/")[2], 24)
    done = f", {100 * run.steps // run.steps_planned} %" if run.steps_planned else ""
    return f"{one_line(run.method or '?', 12)} on {model}{done}"
