"""What stands in the place of a step that can't be shown."""

from __future__ import annotations

import traceback
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from pegbox_runs.drafts import Draft, StepName
from pegbox_runs.printable import one_line, printable
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.messages import Turned
from pegbox_tui.wizard.step import StepScreen
from pegbox_tui.wizard.words import TITLES
from pegbox_tui.wizard.workbench import Workbench


class BrokenStep(StepScreen):
    """Says what was raised. The draft and the other steps are as they were."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "again", "Try again")]
    DEFAULT_CSS = """
    BrokenStep VerticalScroll {
        padding: 1 2;
    }
    BrokenStep #traceback {
        margin-top: 1;
        color: $text-muted;
    }
    """

    def __init__(self, draft: Draft, bench: Workbench, step: StepName, error: BaseException) -> None:
        self.step = step  # type: ignore[misc]  # it stands for any of the six
        super().__init__(draft, bench)
        self._said = broken_text(step, error)
        self._traceback = printable("".join(traceback.format_exception(error)))

    def compose_step(self) -> ComposeResult:
        """Lay out the sentences."""
        with VerticalScroll():
            yield Static(self._said, markup=False)
            yield Static(self._traceback, id="traceback", markup=False)

    def lacking(self) -> str:
        """Let nobody go on past a step that wasn't seen."""
        return f"{TITLES[self.step]} can't be shown, so it can't be answered: r tries again, Escape goes back."

    def explanation(self) -> Explanation:
        """Explain what can be done."""
        return Explanation(
            f"{TITLES[self.step]}: broken",
            "Something in Pegbox or in its installation is broken. What you answered is kept; `r` tries again.",
        )

    def action_again(self) -> None:
        """Open the step anew."""
        self.post_message(Turned(self.step))


def broken_text(step: StepName, error: BaseException) -> str:
    """Say what happened, and what can be done."""
    what = one_line(f"{type(error).__name__}: {error}", 400)
    return (
        f"The step “{TITLES[step]}” can't be shown.\n\n{what}\n\n"
        "Your draft is kept, and the other steps work. `r` tries again, Escape goes back.\n"
        "If it stays so, `pegbox doctor` says whether the installation is whole; a recipe runs without this screen: "
        "`pegbox train RECIPE`."
    )
