"""Step 1: the machine as it is, the doctor's word on it, and planning for another GPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from pegbox_methods.refusal import Refusal
from pegbox_runs.drafts import Draft, PlannedCard, StepName
from pegbox_runs.printable import printable
from pegbox_tui.shell.choice_list import ChoiceList
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.aside import aside
from pegbox_tui.wizard.machine import explanations
from pegbox_tui.wizard.machine.look import ask_torch, look_at
from pegbox_tui.wizard.machine.messages import Found, MachineRead, TorchAnswered
from pegbox_tui.wizard.machine.words import Line, choice_text, doctor_lines, lines, meaning_text, plan_text, whole
from pegbox_tui.wizard.step import StepScreen
from pegbox_tui.wizard.workbench import Workbench

WIDE = 110
READ_ANEW = ("machine", "place", "torch", "learned", "fit")
"""What the workbench keeps that hangs on the machine."""


class FoundList(ChoiceList):
    """What is here, line by line; each explains itself."""

    told: Callable[[], Explanation | None]

    def explanation(self) -> Explanation | None:
        """Explain the highlighted line."""
        return self.told()


class MachineStep(StepScreen):
    """Draws what two threads find out: the machine at once, and torch's word when it comes."""

    step: ClassVar[StepName] = "machine"
    CSS_PATH = "machine.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - the base class declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "what_if", "What if"),
        Binding("t", "this_machine", "This machine"),
        Binding("r", "read_anew", "Read anew"),
    ]

    def __init__(self, draft: Draft, bench: Workbench) -> None:
        super().__init__(draft, bench)
        self.found = Found()
        self._lines: list[Line] = []
        self._left = threading.Event()

    def compose_step(self) -> ComposeResult:
        """Lay out: what is planned for, then everything that is here."""
        yield Static(id="plan", markup=False)
        found = FoundList(id="found", markup=False)
        found.told = self._explained_line
        yield found

    def on_mount(self) -> None:
        """Begin to look."""
        self._draw()
        self.query_one("#found").focus()
        self._look()
        self._ask_torch()

    def on_unmount(self) -> None:
        """Let the threads end unheard."""
        self._left.set()

    def explanation(self) -> Explanation | None:
        """Explain the step."""
        return explanations.STEP

    def lacking(self) -> str | None:
        """Say why nothing can be planned for, where nothing can."""
        return self.found.refusal

    def commands(self) -> Iterable[tuple[str, str, Callable[[], None]]]:
        """Offer the step's keys by name."""
        yield "What if", "plan for a GPU that isn't here", self.action_what_if
        yield "This machine", "plan for the device that is here", self.action_this_machine
        yield "Read the machine anew", "after something was mended, or memory freed", self.action_read_anew

    @work(thread=True, exclusive=True, group="machine")
    def _look(self) -> None:
        for message in look_at(self.draft, self.bench):
            if self._left.is_set():
                return
            self.post_message(message)

    def _ask_torch(self) -> None:
        aside(partial(ask_torch, self.bench), self, self._left)

    def on_machine_read(self, message: MachineRead) -> None:
        """Draw the machine, with what torch said meanwhile; unless something else is planned for by now."""
        if message.found.planned != self.draft.planned:
            return
        if self.found.torch_answered:
            self.found = replace(message.found, judged=self.found.judged, torch_answered=True)
        else:
            self.found = message.found
        self._draw()

    def on_torch_answered(self, message: TorchAnswered) -> None:
        """Draw the doctor's findings anew."""
        self.found = replace(self.found, judged=message.judged, torch_answered=True)
        self._draw()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Do what the line offers: go on, plan, or copy its command."""
        actions = {"go-on": self._go_on, "what-if": self.action_what_if, "this-machine": self.action_this_machine}
        act = actions.get(event.option.id or "")
        if act is not None:
            act()
            return
        line = whole(self._lines, event.option.id)
        if line is not None and line.finding is not None and line.finding.command:
            self.app.copy_to_clipboard(line.finding.command)
            self.notify(
                f"Sent to the terminal's clipboard, if it has one: {printable(line.finding.command)}", markup=False
            )

    def _go_on(self) -> None:
        self.action_turn("next")

    def action_what_if(self) -> None:
        """Ask for which card to plan."""
        try:
            profiles = self.bench.profiles()
        except Refusal as refusal:
            self.notify(printable(refusal.sentence), severity="error", markup=False)
            return
        from pegbox_tui.wizard.machine.what_if import WhatIfScreen  # the first frame needs no table of cards

        self.app.push_screen(WhatIfScreen(profiles), self._plan)

    def action_this_machine(self) -> None:
        """Plan for the device that is here."""
        if self.draft.planned is not None:
            self._planned(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the way back to this machine only where another card is planned for."""
        if action == "this_machine":
            return self.draft.planned is not None
        return super().check_action(action, parameters)

    def action_read_anew(self) -> None:
        """Look again, as if the wizard had just been opened."""
        self.bench.forget(*READ_ANEW)
        self.found = Found()
        self._draw()
        self._look()
        self._ask_torch()

    def _plan(self, planned: PlannedCard | None) -> None:
        if planned is not None:
            self._planned(planned)

    def _planned(self, planned: PlannedCard | None) -> None:
        self.change(planned=planned)
        self.refresh_bindings()
        self.found = replace(self.found, place=None, refusal=None)
        self._draw()
        self._look()

    def _explained_line(self) -> Explanation | None:
        option = self.query_one("#found", FoundList).highlighted_option
        actions = {
            "go-on": explanations.GO_ON,
            "what-if": explanations.WHAT_IF,
            "this-machine": explanations.THIS_MACHINE,
        }
        if option is None or option.id in actions:
            return actions.get((option and option.id) or "")
        line = whole(self._lines, option.id)
        return None if line is None else explanations.explain(line)

    def _draw(self) -> None:
        told = (meaning_text(self.found), plan_text(self.found), choice_text(self.found))
        self.query_one("#plan", Static).update(Text("\n").join(part for part in told if part is not None))
        listed = self.query_one("#found", FoundList)
        kept = listed.highlighted_option.id if listed.highlighted_option else None
        here, judged = list(lines(self.found)), list(doctor_lines(self.found))
        self._lines = here + judged
        listed.set_options([*self._offers(), *_section("What is here", here), *_section(self._doctor(), judged)])
        known = {option.id: number for number, option in enumerate(listed.options) if option.id is not None}
        listed.choose(known.get(kept or ""))

    def _offers(self) -> list[Option]:
        """List what can be done here."""
        offers = [
            Option("Go on to the model", id="go-on"),
            Option("What if? Plan for another GPU (w)", id="what-if"),
        ]
        if self.draft.planned is not None:
            offers.append(Option("Back to this machine (t)", id="this-machine"))
        return offers

    def _doctor(self) -> str:
        asking = "; torch is being asked what it can do here, some seconds" if not self.found.torch_answered else ""
        return f"What the doctor says{asking}"


def _section(title: str, listed: Iterable[Line]) -> list[Option]:
    return [Option(Text(title), disabled=True), *(Option(line.text, id=line.id) for line in listed)]
