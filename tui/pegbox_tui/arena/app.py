"""The arena in a terminal, with each training's dashboard a key away."""

from __future__ import annotations

from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.watching.watch import Watched
from pegbox_runs.run_state import RunState
from pegbox_tui.arena.screen import ArenaScreen
from pegbox_tui.arena.view import EntryChoice
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.look import Look


class ArenaApp(PegboxApp[Watched]):
    """Arena, dashboard of an entry, and back to the arena as it was. Returns the last moment that it showed."""

    def __init__(self, folder: ComparisonFolder, *, leave_at_end: bool = False, look: Look | None = None) -> None:
        super().__init__(look)
        self._folder = folder
        self._leave_at_end = leave_at_end
        self._arena = ArenaScreen(folder, leave_at_end=leave_at_end)

    def on_mount(self) -> None:
        """Open the arena."""
        self.push_screen(self._arena, self._taken)

    def _taken(self, choice: EntryChoice | None) -> None:
        """Open an entry that was chosen, or leave."""
        if choice is None:
            self.exit(self._arena.watched)
            return
        from pegbox_tui.dashboard.screen import DashboardScreen  # the first frame needs no dashboard

        self.push_screen(DashboardScreen(choice.folder, back=True), self._back)

    def _back(self, _: RunState | None = None) -> None:
        before = self._arena
        self._arena = ArenaScreen(
            self._folder, leave_at_end=self._leave_at_end, view=before.view, watched=before.watched
        )
        self.push_screen(self._arena, self._taken)

    def action_leave(self) -> None:
        """Leave as `q` does, whatever lies over the arena."""
        self.exit(self._arena.watched)


def watch_comparison(folder: ComparisonFolder, *, leave_at_end: bool, look: Look | None = None) -> Watched:
    """Show a comparison until the person leaves, or until its end if told so."""
    return ArenaApp(folder, leave_at_end=leave_at_end, look=look).run() or Watched(id=folder.id)
