"""The data screen on its own, as `pegbox data --screen` opens it."""

from __future__ import annotations

from pegbox_tui.rows.browsing import Look
from pegbox_tui.rows.screen import RowsScreen
from pegbox_tui.shell.app import PegboxApp


class RowsApp(PegboxApp[int | None]):
    """One data screen. Returns the length that was taken, or None."""

    def __init__(self, name: str, look: Look) -> None:
        super().__init__()
        self.rows_screen = RowsScreen(name, look)

    def on_mount(self) -> None:
        """Open the screen; what it returns is the app's answer."""
        self.push_screen(self.rows_screen, self.exit)

    def action_leave(self) -> None:
        """Leave as `q` does."""
        self.rows_screen.action_leave()


def browse(name: str, look: Look) -> int | None:
    """Show rows until the person leaves."""
    return RowsApp(name, look).run()
