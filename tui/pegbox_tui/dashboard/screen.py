"""The dashboard: what a run is doing, from its folder, whoever else is looking."""

from __future__ import annotations

import threading
import time
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Footer, ProgressBar, Static

from pegbox_runs.asking import ask
from pegbox_runs.commands import CommandName
from pegbox_runs.printable import printable
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.viewing import follow
from pegbox_tui.dashboard.confirm import ConfirmScreen
from pegbox_tui.dashboard.loss_chart import LossChart
from pegbox_tui.dashboard.words import evaluations, figures, headline, remarks
from pegbox_tui.messages import CommandAnswered, RunAdvanced

DRAW_SECONDS = 1.5
"""Steps may come faster than a person reads: drawing each would take some percent of a core, on the run's machine."""
ANSWER_SECONDS = 60.0
"""How long a command is looked after: sent again where another was written over it."""


class DashboardScreen(Screen[RunState]):
    """Draws one RunState at a time. Dismissed with the last one."""

    CSS_PATH = "dashboard.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "Leave"),
        Binding("p", "pause", "Pause/resume"),
        Binding("c", "checkpoint", "Checkpoint"),
        Binding("s", "stop", "Stop"),
        Binding("a", "abort", "Abort"),
    ]

    def __init__(self, folder: RunFolder, *, leave_at_end: bool) -> None:
        super().__init__()
        self._folder = folder
        self._leave_at_end = leave_at_end
        self._left = threading.Event()
        self._shown: dict[str, str] = {}
        self._drawn_at = 0.0
        self._later: Timer | None = None
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

    @work(thread=True, group="following")
    def _follow(self) -> None:
        state = self.state
        for advance in follow(self._folder, self._left):
            state = advance.state
            self.post_message(RunAdvanced(state))
        # An end in the log may be followed by a new beginning; only following itself knows which is the last.
        self.post_message(RunAdvanced(state, last=True))

    def on_unmount(self) -> None:
        """Let the threads go; Python would wait for them at its exit."""
        self._left.set()

    def on_run_advanced(self, message: RunAdvanced) -> None:
        """Draw the newest state."""
        moved_on = (message.state.status, message.state.phase) != (self.state.status, self.state.phase)
        self.state = message.state
        if moved_on or message.last or time.monotonic() >= self._drawn_at + DRAW_SECONDS:
            self._draw()
        elif self._later is None:
            self._later = self.set_timer(self._drawn_at + DRAW_SECONDS - time.monotonic(), self._draw)
        if self._leave_at_end and message.last:
            self.dismiss(self.state)

    def action_leave(self) -> None:
        """Close the view; the run doesn't notice."""
        self.dismiss(self.state)

    def action_pause(self) -> None:
        """Pause the run, or let a paused one go on."""
        if self._carried():
            self._ask("resume" if self.state.status == "paused" else "pause")

    def action_checkpoint(self) -> None:
        """Ask for a checkpoint now."""
        if self._carried():
            self._ask("checkpoint")

    def action_stop(self) -> None:
        """Make sure, then ask the run to stop."""
        self._make_sure("Stop the run? It finishes its step, saves its adapter, and ends.", "stop")

    def action_abort(self) -> None:
        """Make sure, then ask the run to end at once."""
        self._make_sure("Abort the run? It ends at once; what it did since its last checkpoint is lost.", "abort")

    def _carried(self) -> bool:
        """Tell whether somebody hears the run's commands, and say so to the person if not."""
        if self.state.over or self.state.status in {"lost", "new"}:
            self.notify("The run isn't running.", severity="warning")
            return False
        return True

    def _make_sure(self, question: str, name: CommandName) -> None:
        if self._carried():

            def answered(sure: bool | None) -> None:
                if sure:
                    self._ask(name)

            self.app.push_screen(ConfirmScreen(question), answered)

    @work(thread=True, group="asking")
    def _ask(self, name: CommandName) -> None:
        """Send a command, and again until it is answered; the answer is seen among what was said."""
        try:
            answer = ask(self._folder, name, ANSWER_SECONDS, self._left)
        except OSError as error:
            self.post_message(CommandAnswered(f"The command could not be written: {error.strerror}.", "error"))
            return
        if answer is not None:
            severity: SeverityLevel = "information" if answer.taken else "warning"
            self.post_message(CommandAnswered(f"{name}: {answer.text}", severity))
        elif not self._left.is_set():
            self.post_message(CommandAnswered(f"{name}: no answer yet; the run reads it when it can.", "warning"))

    def on_command_answered(self, message: CommandAnswered) -> None:
        """Show it for a moment; it stays among what was said."""
        self.notify(printable(message.text), severity=message.severity, markup=False)

    def _draw(self) -> None:
        state = self.state
        self._drawn_at = time.monotonic()
        if self._later is not None:
            self._later.stop()
            self._later = None
        self._put("#headline", headline(self._folder.id, state))
        self.query_one(ProgressBar).update(
            # Without a total the bar would move by itself, which costs bytes on the wire and says nothing.
            total=state.prepared.steps if state.prepared else 1,
            progress=state.steps_done,
        )
        self.query_one(LossChart).show(state.loss)
        self._put("#figures", figures(state))
        self._put("#evaluations", evaluations(state))
        self._put("#remarks", remarks(self._folder.id, state))

    def _put(self, name: str, text: str) -> None:
        """Show a text where it is another one. Laying out anew, which a step must not cost, repaints the screen."""
        before = self._shown.get(name)
        if text != before:
            self._shown[name] = text
            moves = name == "#remarks" or before is None or text.count("\n") != before.count("\n")
            self.query_one(name, Static).update(text, layout=moves and name != "#headline")
