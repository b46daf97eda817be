"""Steps of cardboard, for tests of the wizard that aren't about any step."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import OptionList, Static

from pegbox_methods.recipe import Model
from pegbox_runs.drafts import STEPS, StepName
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.fields import Field
from pegbox_tui.wizard import opening
from pegbox_tui.wizard.step import StepScreen


class Explaining(OptionList):
    """Explains its highlighted choice."""

    def explanation(self) -> Explanation | None:
        if self.highlighted is None:
            return None
        return Explanation(f"Choice {self.highlighted}", "what it [bold]means\x1b[31m", "Somebody 2021")


class CardboardStep(StepScreen):
    """A list, and a field for the model's name."""

    def compose_step(self) -> ComposeResult:
        yield Static(f"this is {self.step}", id="said", markup=False)
        yield Explaining("one", "two", id="choices", markup=False)
        yield Field(self.draft.model.name if self.draft.model else "", id="name")

    def lacking(self) -> str | None:
        return "Name a model first." if self.step == "model" and self.draft.model is None else None

    def explanation(self) -> Explanation | None:
        return Explanation(f"About {self.step}", "plain words")

    def on_input_changed(self, message: Field.Changed) -> None:
        if message.value and (self.draft.model is None or self.draft.model.name != message.value):
            self.change(model=Model(name=message.value))


for _name in STEPS:
    globals()[f"Cardboard{_name}"] = type(f"Cardboard{_name}", (CardboardStep,), {"step": _name})

SCREENS: dict[StepName, str] = {name: f"{__name__}:Cardboard{name}" for name in STEPS}


def main() -> None:
    """Be `pegbox`, with these steps."""
    from pegbox.__main__ import main as pegbox

    opening.SCREENS.update(SCREENS)
    raise SystemExit(pegbox())
