"""The arena over made-up comparisons, and waiting for it to show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.pilot import Pilot

from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_tui.arena.app import ArenaApp
from pegbox_tui.arena.screen import ArenaScreen
from pegbox_tui.shell.look import Look
from pegbox_tui.shell.sheet import Sheet
from tests.tui.wizard_steps import reaches


def app_of(folder: ComparisonFolder, look: Look | None = None, *, leave_at_end: bool = False) -> ArenaApp:
    """Make the app over it."""
    return ArenaApp(folder, leave_at_end=leave_at_end, look=look)


def arena(app: ArenaApp) -> ArenaScreen:
    """Give the arena, which must be on the screen."""
    shown = app.screen
    assert isinstance(shown, ArenaScreen)
    return shown


def said(app: ArenaApp, name: str) -> str:
    """Give all that a pane says."""
    return app.screen.query_one(name, Sheet).said


async def known(pilot: Pilot[Any]) -> None:
    """Wait until all that lies in the folder is read."""

    def is_read() -> bool:
        shown = pilot.app.screen
        return isinstance(shown, ArenaScreen) and shown.watched.comparison is not None and shown.watched.share == 1.0

    await reaches(pilot, is_read, lambda: pilot.app.screen)


def order(app: ArenaApp) -> Sequence[str]:
    """Give the contestants from the top of the list to its end."""
    lines = said(app, "#board").splitlines()
    names = {one.name for one in arena(app).watched.contestants}
    return [next(word for word in line.split() if word in names) for line in lines]
