"""Watching one run in a terminal."""

from __future__ import annotations

from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_tui.dashboard.screen import DashboardScreen


class WatchApp(App[RunState]):
    """One dashboard over one run. Returns the last state it showed; leaving never ends the run."""

    TITLE = "Pegbox"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "leave", show=False, priority=True)]

    def __init__(self, folder: RunFolder, *, leave_at_end: bool = False) -> None:
        super().__init__()
        self._dashboard = DashboardScreen(folder, leave_at_end=leave_at_end)

    def on_mount(self) -> None:
        """Open the dashboard; what it returns is the app's answer."""
        self.push_screen(self._dashboard, self.exit)

    def action_leave(self) -> None:
        """Leave as `q` does."""
        self._dashboard.action_leave()


def watch(folder: RunFolder, *, leave_at_end: bool) -> RunState:
    """Show a run until the person leaves, or until its end if told so."""
    return WatchApp(folder, leave_at_end=leave_at_end).run() or RunState()
