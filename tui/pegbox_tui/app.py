"""Watching one run in a terminal."""

from __future__ import annotations

from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_tui.dashboard.screen import DashboardScreen
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.look import Look


class WatchApp(PegboxApp[RunState]):
    """One dashboard over one run. Returns the last state it showed; leaving never ends the run."""

    def __init__(self, folder: RunFolder, *, leave_at_end: bool = False, look: Look | None = None) -> None:
        super().__init__(look)
        self._dashboard = DashboardScreen(folder, leave_at_end=leave_at_end)

    def on_mount(self) -> None:
        """Open the dashboard; what it returns is the app's answer."""
        self.push_screen(self._dashboard, self.exit)

    def action_leave(self) -> None:
        """Leave as `q` does, whatever lies over the dashboard."""
        self.exit(self._dashboard.state)


def watch(folder: RunFolder, *, leave_at_end: bool, look: Look | None = None) -> RunState:
    """Show a run until the person leaves, or until its end if told so."""
    return WatchApp(folder, leave_at_end=leave_at_end, look=look).run() or RunState()
