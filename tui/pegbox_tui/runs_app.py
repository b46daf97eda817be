"""The list of runs on its own, with each run's dashboard a key away: `pegbox runs --screen`."""

from __future__ import annotations

from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.draft_hold import DraftHold
from pegbox_runs.drafts import draft_of, read_draft, take_up_draft, write_draft
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_tui.dashboard.screen import DashboardScreen
from pegbox_tui.runs_list.choice import RunChoice
from pegbox_tui.runs_list.order import View
from pegbox_tui.runs_list.screen import RunsScreen
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.look import Look
from pegbox_tui.wizard.words import is_empty

ANOTHER = "Take that run's settings? What you answered for another run is forgotten."


class RunsApp(PegboxApp[RunFolder | None]):
    """List, dashboard, and back to the list as it was. Returns the run that is to be repeated, or None."""

    def __init__(self, look: Look | None = None) -> None:
        super().__init__(look)
        self._view = View()

    def on_mount(self) -> None:
        """Open the list."""
        self._open_list()

    def _open_list(self, _: RunState | None = None) -> None:
        screen = RunsScreen(self._view)

        def chosen(choice: RunChoice | None) -> None:
            self._view = screen.view
            if choice is None:
                self.exit()
            elif choice.kind == "open":
                self.push_screen(DashboardScreen(choice.folder, back=True), self._open_list)
            else:
                self._repeat(choice.folder)

        self.push_screen(screen, chosen)

    def _repeat(self, folder: RunFolder) -> None:
        """Leave with the run, once an unfinished draft may be replaced."""

        def answered(sure: bool | None) -> None:
            if sure:
                self.exit(folder)
            else:
                self._open_list()

        draft = read_draft()
        if draft is None or is_empty(draft):
            self.exit(folder)
        else:
            self.push_screen(ConfirmScreen(ANOTHER), answered)


def browse_runs(look: Look | None = None) -> bool:
    """Show the runs until the person leaves. Returns: whether one's settings were taken as the wizard's draft.

    Raises: Refusal: its recipe can't be read, or another window has the draft. OSError: the draft can't be written.
    """
    repeated = RunsApp(look).run()
    if repeated is not None:
        repeat(repeated)
    return repeated is not None


def repeat(folder: RunFolder) -> None:
    """Make a run's settings the wizard's draft. Raises: Refusal, OSError: as `browse_runs`."""
    draft = draft_of(read_recipe(folder.recipe))
    hold = DraftHold()
    if (holder := hold.take()) is not None:
        raise Refusal(f"{holder} keeps a draft of its own. Leave it first, or repeat the run in it: ctrl+r lists runs.")
    try:
        take_up_draft()  # one that can't be read is put aside, not replaced
        write_draft(draft)
    finally:
        hold.release()
