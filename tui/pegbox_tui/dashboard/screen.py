"""The dashboard: what a run is doing, from its folder, whoever else is looking."""

from __future__ import annotations

import threading
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, ProgressBar, Static

from pegbox_runs.commands import send
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.viewing import follow
from pegbox_tui.dashboard.confirm import ConfirmScreen
from pegbox_tui.dashboard.loss_chart import LossChart
from pegbox_tui.dashboard.words import evaluations, figures, headline, remarks
from pegbox_tui.messages import RunAdvanced


class DashboardScreen(Screen[RunState]):
    """Draws one RunState at a time. Dismissed with the last one."""

    CSS_PATH = "dashboard.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "Leave (the run goes on)"),
        Binding("s", "stop", "Stop the run"),
    ]

    def __init__(self, folder: RunFolder, *, leave_at_end: bool) -> None:
        super().__init__()
        self._folder = folder
        self._leave_at_end = leave_at_end
        self._left = threading.Event()
        self.state = RunState()

    def compose(self) -> ComposeResult:
        """Lay out: a headline, progress, the loss beside the figures, then what was said."""
        yield Static(id="headline", markup=False)
        yield ProgressBar(id="progress", show_eta=False)
        with Horizontal(id="middle"):
            yield LossChart(id="loss")
            with VerticalScroll(id="side", can_focus=False):
                yield Static(id="figures", markup=False)
                yield Static(id="evaluations", markup=False)
        with VerticalScroll(id="said"):
            yield Static(id="remarks", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to follow."""
        self._draw()
        self._follow()

    @work(thread=True, exclusive=True)
    def _follow(self) -> None:
        for advance in follow(self._folder, self._left):
            self.post_message(RunAdvanced(advance.state))

    def on_unmount(self) -> None:
        """Let the following thread go; Python would wait for it at its exit."""
        self._left.set()

    def on_run_advanced(self, message: RunAdvanced) -> None:
        """Draw the newest state."""
        self.state = message.state
        self._draw()
        if self._leave_at_end and (self.state.over or self.state.status == "lost"):
            self.dismiss(self.state)

    def action_leave(self) -> None:
        """Close the view; the run doesn't notice."""
        self.dismiss(self.state)

    def action_stop(self) -> None:
        """Ask, then send the command; its answer comes back as an event."""
        if self.state.status != "running":
            self.notify("The run isn't running.", severity="warning")
            return
        question = "Stop the run? It finishes its step, saves its adapter, and ends."
        self.app.push_screen(ConfirmScreen(question), self._stop)

    def _stop(self, sure: bool | None) -> None:
        if sure:
            send(self._folder.commands, "stop")
            self.notify("The run was asked to stop.")

    def _draw(self) -> None:
        state = self.state
        self.query_one("#headline", Static).update(headline(self._folder.id, state))
        self.query_one(ProgressBar).update(
            # Without a total the bar would move by itself, which costs bytes on the wire and says nothing.
            total=state.prepared.steps if state.prepared else 1,
            progress=state.step.step if state.step else 0,
        )
        self.query_one(LossChart).show(state.loss)
        self.query_one("#figures", Static).update(figures(state))
        self.query_one("#evaluations", Static).update(evaluations(state))
        self.query_one("#remarks", Static).update(remarks(state))
