"""What the wizard does with comparisons: shows one, and each of its trainings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.wizard.parting import Parting
from pegbox_tui.wizard.words import NO_COMPARISON

if TYPE_CHECKING:
    from textual.screen import Screen

    from pegbox_runs.arena.comparison_folder import ComparisonFolder
    from pegbox_runs.run_state import RunState
    from pegbox_tui.arena.screen import ArenaScreen
    from pegbox_tui.arena.view import EntryChoice

Then = Callable[["RunState"], None]
"""What is done when a comparison is left; it is given the state that was seen last."""


class AppWithComparisons(PegboxApp[Parting]):
    """The part of the wizard that is about comparisons. One goes on whatever happens here."""

    def watch_comparison(self, folder: ComparisonFolder, then: Then, back_to: Then | None = None) -> None:
        """Show a comparison; Enter opens a training of it, from which one comes back.

        `back_to`: what is done instead of `then` where it is left by Escape.
        """
        from pegbox_tui.arena.screen import ArenaScreen

        self._show(ArenaScreen(folder, back=True), folder, then, back_to or then)

    def watch_newest(self) -> None:
        """Show the comparison that was made last, and come back from it."""
        from pegbox_runs.arena.comparison_folder import all_comparisons

        there = all_comparisons()
        if there:
            self.watch_comparison(there[-1], lambda _state: None)
        else:
            self.notify(NO_COMPARISON, markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer no list over a comparison: it would be opened over nothing that it came from."""
        if action in {"runs", "comparison"} and self.screen_stack and _is_arena(self.screen):
            return False
        return super().check_action(action, parameters)

    def _show(self, arena: ArenaScreen, folder: ComparisonFolder, then: Then, back_to: Then) -> None:
        def taken(choice: EntryChoice | None) -> None:
            if choice is None:
                (back_to if arena.went_back else then)(arena.watched.state)
            else:
                from pegbox_tui.dashboard.screen import DashboardScreen

                self.push_screen(DashboardScreen(choice.folder, back=True), back)

        def back(_state: RunState | None) -> None:
            from pegbox_tui.arena.screen import ArenaScreen

            again = ArenaScreen(folder, back=True, view=arena.view, watched=arena.watched)
            self._show(again, folder, then, back_to)

        self.push_screen(arena, taken)


def _is_arena(screen: Screen[Any]) -> bool:
    """Tell it without importing the arena, which the first screen doesn't need."""
    loaded = sys.modules.get("pegbox_tui.arena.screen")
    return loaded is not None and isinstance(screen, loaded.ArenaScreen)
