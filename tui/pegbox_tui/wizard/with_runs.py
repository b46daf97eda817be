"""What the wizard does with runs: starts them, shows them, lists them, takes up the settings of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pegbox_runs.drafts import Draft
from pegbox_runs.printable import printable
from pegbox_tui.shell.look import Look
from pegbox_tui.wizard.keeper import DraftKeeper
from pegbox_tui.wizard.messages import NotBegun, NotKept, NotStarted, RunsBegan, StartAsked
from pegbox_tui.wizard.parting import Parting
from pegbox_tui.wizard.starter import RunStarter
from pegbox_tui.wizard.step import StepScreen
from pegbox_tui.wizard.take_up import TakeUpScreen
from pegbox_tui.wizard.with_comparisons import AppWithComparisons
from pegbox_tui.wizard.words import (
    BEING_STARTED,
    KEPT,
    LEAVES_AFTER_START,
    comparison_goes_on,
    comparison_left_as,
    goes_on,
    is_empty,
    left_as,
)

if TYPE_CHECKING:
    from textual.screen import Screen

    from pegbox_runs.run_folder import RunFolder
    from pegbox_runs.run_state import RunState
    from pegbox_tui.runs_list.choice import RunChoice


class AppWithRuns(AppWithComparisons):
    """The half of the wizard that is about runs. A run goes on whatever happens here."""

    def __init__(self, look: Look | None = None) -> None:
        super().__init__(look)
        self.draft = Draft()
        self.keeper = DraftKeeper(self._not_kept)
        self.starter = RunStarter(self, self.keeper)
        self._leaving = False
        self._dashboard: Screen[RunState] | None = None
        """The one that was opened last."""
        self._own_dashboard: Screen[RunState] | None = None
        """That of the run that was begun here; the others were opened from the list."""
        self._begun_here = ""

    def take_as_draft(self, draft: Draft) -> None:
        """Go on with another draft."""
        raise NotImplementedError

    def _not_kept(self, sentence: str) -> None:
        """Pass it on, from the keeper's thread."""
        self.post_message(NotKept(sentence))

    def on_not_kept(self, message: NotKept) -> None:
        """Say it once; it stops nobody."""
        self.notify(printable(message.sentence), severity="warning", timeout=15, markup=False)

    def is_starting(self) -> bool:
        """Tell whether runs are being started, and say so: nothing may be turned or dropped meanwhile."""
        if self.starter.busy:
            self.notify(BEING_STARTED, markup=False)
        return self.starter.busy

    def on_start_asked(self, message: StartAsked) -> None:
        """Start runs, if the step that asks is still there."""
        if message.asker in self.screen_stack:
            self.starter.begin(message)

    def on_runs_began(self, message: RunsBegan) -> None:
        """Forget the draft if it is one of the runs. Show the first of them, or leave as was asked for."""
        self.starter.rest()
        if message.ends_draft:
            self.forget()
        if not message.folders:
            return
        from pegbox_runs.arena.comparison_folder import ComparisonFolder  # the first screen needs nothing of it

        begun = message.folders[0]
        if self._leaving:
            said = comparison_goes_on if isinstance(begun, ComparisonFolder) else goes_on
            self.exit(self._parting(said(begun.id)))
        elif isinstance(begun, ComparisonFolder):
            self.watch_comparison(
                begun,
                lambda state: self.exit(self._parting(comparison_left_as(begun.id, state))),
                lambda _state: self.take_as_draft(self.draft),
            )
        else:
            self._watch(begun, self._leave_run)

    def on_not_begun(self, message: NotBegun) -> None:
        """Tell the step why; or leave as was asked for, and say it on the terminal."""
        self.starter.rest()
        if self._leaving:
            self.exit(self._parting(f"Nothing was started: {printable(message.trouble)}"))
        elif not message.asker.post_message(NotStarted(message.trouble)):
            self.notify(printable(message.trouble), severity="error", timeout=15, markup=False)

    def waits_for_start(self) -> bool:
        """Put leaving off until a start is through; asked for twice, it isn't put off."""
        if not self.starter.busy or self._leaving:
            return False
        self._leaving = True
        self.notify(LEAVES_AFTER_START, timeout=15, markup=False)
        return True

    def forget(self) -> None:
        """Forget the draft; runs go on."""
        self.draft = Draft()
        self.keeper.keep(None)

    def sure_to_drop(self, question: str, then: Callable[[], None]) -> None:
        """Ask before an unfinished draft is replaced."""

        def answered(sure: bool | None) -> None:
            if sure and not self.is_starting():
                then()

        if is_empty(self.draft):
            answered(True)
            return
        from pegbox_tui.shell.confirm import ConfirmScreen

        self.push_screen(ConfirmScreen(question), answered)

    def action_runs(self) -> None:
        """Open the list of runs, or go back to it from a run that was opened there; not over a question, not twice."""
        if self._dashboard is not None and self.screen is self._dashboard and self.screen is not self._own_dashboard:
            self.screen.dismiss()
            return
        if not (isinstance(self.screen, StepScreen | TakeUpScreen) or self.is_on_dashboard) or self.is_starting():
            return
        from pegbox_tui.runs_list.screen import RunsScreen

        self.push_screen(RunsScreen(), self._run_chosen)

    def action_comparison(self) -> None:
        """Open the newest comparison; not over a question, and not over another one."""
        if (isinstance(self.screen, StepScreen | TakeUpScreen) or self.is_on_dashboard) and not self.is_starting():
            self.watch_newest()

    def _run_chosen(self, choice: RunChoice | None) -> None:
        if choice is None:
            return
        if choice.kind == "open" and self.is_on_dashboard and choice.folder.id == self._begun_here:
            return  # it lies below the list
        if choice.kind == "open":
            self._watch(choice.folder, lambda _state: self.action_runs(), back=True)
        else:
            self.sure_to_drop(
                "Take that run's settings? What you answered for another run is forgotten.",
                lambda: self._repeat(choice.folder),
            )

    def _repeat(self, folder: RunFolder) -> None:
        """Take a run's recipe as the draft."""
        from pegbox_methods.recipe_file import read_recipe
        from pegbox_methods.refusal import Refusal
        from pegbox_runs.drafts import draft_of

        try:
            draft = draft_of(read_recipe(folder.recipe))
        except Refusal as refusal:
            self.notify(printable(refusal.sentence), severity="error", markup=False)
            return
        if self.is_on_dashboard:
            self.pop_screen()  # a step takes the place of the one below
        self.take_as_draft(draft)

    @property
    def is_on_dashboard(self) -> bool:
        """Whether the run that was begun here is shown, and nothing over it."""
        return self._own_dashboard is not None and self.screen is self._own_dashboard

    def _watch(self, folder: RunFolder, then: Callable[[RunState | None], Any], *, back: bool = False) -> None:
        from pegbox_tui.dashboard.screen import DashboardScreen

        self._dashboard = DashboardScreen(folder, back=back)
        if not back:
            self._own_dashboard, self._begun_here = self._dashboard, folder.id
        self.push_screen(self._dashboard, then)

    def _leave_run(self, state: RunState | None) -> None:
        """Leave after the dashboard of the run that was begun here."""
        self.exit(self._parting(left_as(self._begun_here, state)))

    def _parting(self, line: str) -> Parting:
        """Say a line, and whether a draft is kept."""
        return Parting((line,) if is_empty(self.draft) else (line, self.keeper.fault or KEPT))
