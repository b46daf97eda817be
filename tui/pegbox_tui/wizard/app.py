"""The wizard: opens the steps, keeps the draft, and hands over to the dashboard."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import work
from textual._context import active_message_pump
from textual.binding import Binding, BindingType
from textual.screen import Screen

from pegbox_runs.drafts import STEPS, Draft, StepName, draft_file, take_up_draft
from pegbox_runs.printable import one_line
from pegbox_tui.shell.look import Look
from pegbox_tui.shell.threads import let_them_end
from pegbox_tui.wizard.broken import BrokenStep
from pegbox_tui.wizard.messages import Answered, NotKept, TakenUp, Turned
from pegbox_tui.wizard.opening import import_step, open_step
from pegbox_tui.wizard.parting import Parting
from pegbox_tui.wizard.step import StepScreen
from pegbox_tui.wizard.take_up import TakeUpScreen
from pegbox_tui.wizard.with_runs import AppWithRuns
from pegbox_tui.wizard.words import KEPT, START_UNSEEN, TITLES, is_empty
from pegbox_tui.wizard.workbench import Workbench

if TYPE_CHECKING:
    from pegbox_tui.shell.palette import Command

DISK_SECONDS = 2.0
"""How long leaving waits for a slow disk to take the last answer."""
START_SECONDS = 10.0
"""How long the end waits for runs that are being started: for their forecasts, usually, while they go on."""
AHEAD_SECONDS = 1.0
"""How long after a step the next one's modules are imported: the first second belongs to the machine's facts."""


class WizardApp(AppWithRuns):
    """Six steps over one draft. Leaving never ends a run, and loses no answer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "runs", "Runs", priority=True),
        Binding("ctrl+o", "comparison", "Comparison", show=False, priority=True),
    ]

    def __init__(self, look: Look | None = None, bench: Workbench | None = None) -> None:
        super().__init__(look)
        self.bench = bench or Workbench()
        self._step: StepScreen | None = None
        self._mending = False

    def _first_screen(self) -> Screen[None]:
        """Give what is seen first: the first step, or the question whether to go on with what was left."""
        if not self.keeper.take():
            self.post_message(NotKept(self.keeper.fault))
            return self._made("machine")
        left, unread = take_up_draft()
        if unread:
            self.post_message(NotKept(unread))
        if left is None or is_empty(left):
            return self._made("machine")
        self.draft = left
        try:
            age_seconds = time.time() - draft_file().stat().st_mtime
        except OSError:
            age_seconds = 0.0
        return TakeUpScreen(left, age_seconds)

    def on_mount(self) -> None:
        """Open the first screen, and be ready for a connection that drops."""
        self.bench.hold()
        self.push_screen(self._first_screen())
        self.screen.call_after_refresh(self.bench.go)
        if not self.is_headless:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, self._hung_up)
            loop.add_signal_handler(signal.SIGTERM, self.action_leave)

    def on_unmount(self) -> None:
        """Let the warm supervisor go, and another window keep its draft."""
        self.bench.close()
        if not self.starter.busy and self.keeper.settle(DISK_SECONDS):
            self.keeper.release()

    def _hung_up(self) -> None:
        """End: the terminal is gone, and writing to it would only block. Nobody waits for a prompt."""
        self.starter.wait(START_SECONDS)
        self.keeper.settle(DISK_SECONDS)
        self.bench.close()
        let_them_end()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGHUP)

    def _handle_exception(self, error: Exception) -> None:
        """Live on where a screen's code raised: the library would end the program, and the person's work with it."""
        hopeless = isinstance(self._step, BrokenStep) and self.screen_stack[-1:] == [self._step]
        if active_message_pump.get(None) is self or self._exit or self._mending or hopeless:
            if not self._mending:
                super()._handle_exception(error)
            return
        self._mending = True
        self.call_later(self._mend, error)

    async def _mend(self, error: Exception) -> None:
        """Take away what broke: what lies over the step, or the step itself."""
        above = self.screen_stack[2:]  # below lie the library's empty screen and the step
        for _ in above:
            await self.pop_screen()
        if any(not screen.is_modal for screen in above) or isinstance(self._step, BrokenStep):
            said = one_line(f"{type(error).__name__}: {error}", 200)
            self.notify(f"That screen broke ({said}). Runs go on.", severity="error", timeout=15, markup=False)
        else:
            self._step = BrokenStep(self.draft, self.bench, self.draft.step, error)
            await self.switch_screen(self._step)
        self._mending = False

    def on_taken_up(self, message: TakenUp) -> None:
        """Go on with the draft, or forget it."""
        if not message.go_on:
            self._begin_anew()
        else:
            self._open(self.draft.step)

    def on_answered(self, message: Answered) -> None:
        """Keep an answer. Where the person is, only the app knows."""
        self.draft = msgspec.structs.replace(message.draft, step=self.draft.step, reached=self.draft.reached)
        self.keeper.keep(self.draft)

    def on_turned(self, message: Turned) -> None:
        """Go to another step."""
        if not isinstance(self.screen, StepScreen):
            return  # a question was opened over the step meanwhile
        if self.is_starting():
            return
        number = STEPS.index(self.draft.step)
        if message.to == "next":
            if number + 1 < len(STEPS):
                self._open(STEPS[number + 1])
        elif message.to == "back":
            if number == 0:
                self.notify("This is the first step. q leaves; what you answered is kept.", markup=False)
            else:
                self._open(STEPS[number - 1])
        elif STEPS.index(message.to) <= STEPS.index(self.draft.reached):
            self._open(message.to)

    def _made(self, name: StepName) -> StepScreen:
        """Put the draft at a step, and make the step from it."""
        reached = max(name, self.draft.reached, key=STEPS.index)
        if (name, reached) != (self.draft.step, self.draft.reached):
            self.draft = msgspec.structs.replace(self.draft, step=name, reached=reached)
            if not is_empty(self.draft):
                self.keeper.keep(self.draft)
        if name == "goal" and self.draft.planned is None:
            self._warm_up()
        self.set_timer(AHEAD_SECONDS, self._import_ahead)
        self._step = open_step(name, self.draft, self.bench)
        return self._step

    def _open(self, name: StepName) -> None:
        self.clear_notifications()  # what one step said would lie over the next one's last lines
        self.switch_screen(self._made(name))

    @work(thread=True, exclusive=True, group="warming")
    def _warm_up(self) -> None:
        self.bench.warm_up()

    @work(thread=True, exclusive=True, group="ahead")
    def _import_ahead(self) -> None:
        number = STEPS.index(self.draft.step)
        if number + 1 < len(STEPS):
            with contextlib.suppress(Exception):  # it is told when that step is opened
                import_step(STEPS[number + 1])

    def take_as_draft(self, draft: Draft) -> None:
        """Go on with another draft, where that one is."""
        self.draft = draft
        self.keeper.keep(None if is_empty(draft) else draft)
        self._open(draft.step)

    def _begin_anew(self) -> None:
        self.forget()
        self._open("machine")

    def action_anew(self) -> None:
        """Forget the draft, if the person is sure."""
        self.sure_to_drop("Begin anew? What you answered is forgotten.", self._begin_anew)

    def action_leave(self) -> None:
        """Leave, once a start that is under way is through; the draft stays where it is."""
        if self.waits_for_start():
            return
        in_time = self.keeper.settle(DISK_SECONDS)
        if self.starter.busy:
            self.exit(Parting((START_UNSEEN,)))
        elif is_empty(self.draft):
            self.exit(Parting())
        elif self.keeper.fault or not in_time:
            self.exit(Parting((self.keeper.fault or "The draft could not be kept: the disk didn't answer.",)))
        else:
            self.exit(Parting((KEPT,)))

    def commands(self) -> Iterable[Command]:
        """List what can be done from each step."""
        under = next((screen for screen in reversed(self.screen_stack) if not screen.is_modal), None)
        if isinstance(under, StepScreen | TakeUpScreen):  # the palette itself lies over it
            for name in STEPS[: STEPS.index(self.draft.reached) + 1]:
                yield (f"Go to {TITLES[name]}", f"step {STEPS.index(name) + 1}", partial(self._go, name))
            yield ("Runs", "all runs: open, repeat, remove (ctrl+r)", self.action_runs)
            yield ("Comparison", "the newest one: leaderboard, curves, verdict (ctrl+o)", self.action_comparison)
            yield ("Begin anew", "forget the draft; runs go on", self.action_anew)
        elif under is not None and under is self._dashboard:
            yield ("Runs", "all runs: open, repeat, remove (ctrl+r)", self.action_runs)
        yield from super().commands()

    def _go(self, name: StepName) -> None:
        if isinstance(self.screen, StepScreen):
            self.screen.action_jump(name)
        elif isinstance(self.screen, TakeUpScreen):
            self._open(name)


def open_wizard(look: Look) -> Parting:
    """Show the wizard until the person leaves."""
    app = WizardApp(look)
    parting = app.run() or Parting()
    app.starter.wait(START_SECONDS)
    app.keeper.settle(DISK_SECONDS)
    return parting
