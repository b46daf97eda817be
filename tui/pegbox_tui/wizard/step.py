"""What the six steps have in common: a line that says where one is, the ways on and back, the draft."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from pegbox_runs.drafts import STEPS, Draft, StepName
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.key_line import KeyLine
from pegbox_tui.wizard.messages import Answered, Turned
from pegbox_tui.wizard.runs_line import RunsLine
from pegbox_tui.wizard.trail import Trail
from pegbox_tui.wizard.words import TITLES
from pegbox_tui.wizard.workbench import Workbench

__all__ = ["TITLES", "StepScreen"]


class StepScreen(Screen[None]):
    """One step. Made anew from the draft each time it is opened; what was found out is kept by the workbench.

    A step says what was answered by `change`, which the wizard keeps at once, and where the person wants to go by its
    keys. It overrides `compose_step`, `lacking` and `explanation`.
    """

    step: ClassVar[StepName]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n", "turn('next')", "Next", priority=True),
        Binding("escape", "turn('back')", "Back"),
        *(
            Binding(str(number), f"jump('{name}')", f"To {TITLES[name]}", show=False)
            for number, name in enumerate(STEPS, start=1)
        ),
    ]

    def __init__(self, draft: Draft, bench: Workbench) -> None:
        super().__init__()
        self.draft = draft
        self.bench = bench

    def compose(self) -> ComposeResult:
        """Lay out: where one is, the step itself, the keys."""
        yield Trail(self.draft, self.step)
        if self.step == STEPS[0]:
            yield RunsLine()
        yield from self.compose_step()
        yield KeyLine()

    def compose_step(self) -> ComposeResult:
        """Lay out what is the step's own."""
        raise NotImplementedError

    def lacking(self) -> str | None:
        """Say what must be answered before one can go on, in a sentence; None: nothing."""
        return None

    def explanation(self) -> Explanation | None:
        """Explain the step, for `?` where nothing nearer to the focus explains itself."""
        return None

    def change(self, **answers: Any) -> None:
        """Put answers into the draft, by the names of its fields, and have it kept."""
        self.draft = msgspec.structs.replace(self.draft, **answers)
        self.tell()

    def answer(self) -> Draft:
        """Give what counts as answered, where that isn't all that stands here."""
        return self.draft

    def tell(self) -> None:
        """Have the answers kept, and show them on top."""
        answer = self.answer()
        for trail in self.query(Trail):
            trail.show(answer)
        self.post_message(Answered(answer))

    def action_turn(self, to: str) -> None:
        """Go on or back; on only if nothing is lacking."""
        if to == "next" and self._lacks():
            return
        self.post_message(Turned("next" if to == "next" else "back"))

    def action_jump(self, to: str) -> None:
        """Go to a step that was open before; ahead only if nothing is lacking here."""
        name = cast(StepName, to)
        if name == self.step:
            return
        if STEPS.index(name) > STEPS.index(self.draft.reached):
            self.notify(f"{TITLES[name]} comes later: ctrl+n goes on, step by step.", markup=False)
        elif STEPS.index(name) < STEPS.index(self.step) or not self._lacks():
            self.post_message(Turned(name))

    def on_trail_pressed(self, message: Trail.Pressed) -> None:
        """Go where was clicked."""
        if message.to in STEPS:
            self.action_jump(message.to)
        else:
            self.action_turn(message.to)

    def _lacks(self) -> bool:
        lacking = self.lacking()
        if lacking is not None:
            self.notify(lacking, severity="warning", markup=False)
        return lacking is not None
