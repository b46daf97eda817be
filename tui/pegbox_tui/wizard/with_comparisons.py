"""What the wizard does with comparisons: shows one, and each of its trainings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.wizard.parting import Parting
from pegbox_tui.wizard.words import NO_COMPARISON

if TYPE_CHECKING:
    from pegbox_runs.arena.comparison_folder import ComparisonFolder
    from pegbox_runs.run_state import RunState
    from pegbox_tui.arena.screen import ArenaScreen
    from pegbox_tui.arena.view import EntryChoice

Then = Callable[["RunState"], None]
"""What is done when a comparison is left; it is given the state that was seen last."""


class AppWithComparisons(PegboxApp[Parting]):
    """The part of the wizard that is about comparisons. One goes on whatever happens here."""

    def watch_comparison(self, folder: ComparisonFolder, then: Then) -> None:
        """Show a comparison; Enter opens a training of it, from which one comes back."""
        from pegbox_tui.arena.screen import ArenaScreen

        self._show(ArenaScreen(folder, back=True), folder, then)

    def watch_newest(self) -> None:
        """Show the comparison that was made last, and come back from it."""
        from pegbox_runs.arena.comparison_folder import all_comparisons

        there = all_comparisons()
        if there:
            self.watch_comparison(there[-1], lambda _state: None)
        else:
            self.notify(NO_COMPARISON, markup=False)

    def _show(self, arena: ArenaScreen, folder: ComparisonFolder, then: Then) -> None:
        def taken(choice: EntryChoice | None) -> None:
            if choice is None:
                then(arena.watched.state)
            else:
                from pegbox_tui.dashboard.screen import DashboardScreen

                self.push_screen(DashboardScreen(choice.folder, back=True), back)

        def back(_state: RunState | None) -> None:
            from pegbox_tui.arena.screen import ArenaScreen

            again = ArenaScreen(folder, back=True, view=arena.view, watched=arena.watched)
            self._show(again, folder, then)

        self.push_screen(arena, taken)
