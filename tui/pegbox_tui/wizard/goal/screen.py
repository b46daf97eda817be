"""The fourth step: what the run is for, what matters, where it will be served; and an aid that may say: don't tune."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import OptionList, Static

from pegbox_methods.advice.goals import PRIORITIES as PRIORITY_NAMES
from pegbox_methods.advice.goals import Goal
from pegbox_methods.advice.instead import instead
from pegbox_methods.advice.serving import TARGETS
from pegbox_runs.drafts import StepName
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.goal.choices import Choices, Chosen, Questions, Replied
from pegbox_tui.wizard.goal.words import (
    PRIORITIES,
    PURPOSES,
    SERVED,
    explain,
    priority_says,
    purpose_says,
    serving_says,
)
from pegbox_tui.wizard.step import StepScreen

WIDE = 110
ABOUT = Explanation(
    "Goal",
    "Three choices that the advice goes by. Each has a sensible answer already, so you can go on at once. Below them "
    "are a few questions that tell whether prompting or retrieval would do instead of a run; they stop nobody.",
)


@dataclass
class Counted(Message):
    """It is known how many rows there are."""

    rows: int


class GoalStep(StepScreen):
    """Asks for the goal. Everything has an answer from the start."""

    step: ClassVar[StepName] = "goal"
    CSS_PATH = "goal.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - the base class declares it so

    rows: int | None = None
    """How many rows there are; None: they weren't examined."""

    def compose_step(self) -> ComposeResult:
        """Lay out three lists, what the choice under the cursor changes, and the questions."""
        goal = self.draft.goal
        with Horizontal(id="three"):
            for kind, title, offers, chosen in (
                ("purpose", "What for", PURPOSES, goal.purpose or ""),
                ("priority", "What matters", PRIORITIES, goal.priority),
                ("serving", "Where it will be served", SERVED, self.draft.serving or ""),
            ):
                with Vertical(classes="choice"):
                    yield Static(title, classes="title", markup=False)
                    yield Choices(kind, offers, chosen, self._explain)
        yield Static(id="says", markup=False)
        yield Static("Would something simpler do?  (y yes, n no; nothing depends on it)", classes="title", markup=False)
        yield Questions(self.draft.instead)
        yield Static(id="instead", markup=False)

    def on_mount(self) -> None:
        """Draw what is known, and look how many rows there are."""
        self.query_one("#purpose").focus()
        self._draw_instead()
        self._count()

    @work(thread=True, exclusive=True, group="rows")
    def _count(self) -> None:
        data = self.bench.data(self.draft)
        if data is not None:
            self.post_message(Counted(data.rows))

    def on_counted(self, message: Counted) -> None:
        """Say what so many rows change."""
        self.rows = message.rows
        self._draw_says()
        self._draw_instead()

    def explanation(self) -> Explanation | None:
        """Explain the step."""
        return ABOUT

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Say what the choice under the cursor changes."""
        if isinstance(event.option_list, Choices) and event.option_list.has_focus:
            self._draw_says()

    def on_descendant_focus(self) -> None:
        """Say what the choice under the cursor changes."""
        self._draw_says()

    def on_chosen(self, message: Chosen) -> None:
        """Keep a choice."""
        goal = self.draft.goal
        if message.kind == "serving":
            self.change(serving=next((target for target in TARGETS if target == message.name), None))
        elif message.kind == "purpose":
            self.change(goal=msgspec.convert({"priority": goal.priority, "purpose": message.name or None}, Goal))
        elif message.name in PRIORITY_NAMES:
            self.change(goal=msgspec.convert({"priority": message.name, "purpose": goal.purpose}, Goal))
        self._draw_says()

    def on_replied(self, message: Replied) -> None:
        """Keep an answer, and say what follows."""
        answers = {asked: yes for asked, yes in self.draft.instead.items() if asked != message.asked}
        if message.yes is not None:
            answers[message.asked] = message.yes
        self.change(instead=answers)
        self._draw_instead()

    def _explain(self, kind: str, name: str) -> Explanation | None:
        return explain(kind, name, self._says(kind, name))

    def _says(self, kind: str, name: str) -> str:
        if kind == "purpose":
            return purpose_says(name, self.draft.goal, self.rows)
        if kind == "priority":
            return priority_says(name)
        return serving_says(name)

    def _draw_says(self) -> None:
        focused = self.focused
        if isinstance(focused, Choices):
            offers = {"purpose": PURPOSES, "priority": PRIORITIES, "serving": SERVED}[focused.id or ""]
            label = next(offer.label for offer in offers if offer.name == focused.pointed)
            said = Text.assemble((f"{label}: ", "bold"), self._says(focused.id or "", focused.pointed))
            self.query_one("#says", Static).update(said)

    def _draw_instead(self) -> None:
        found = instead(self.draft.instead, self.rows)
        said = Text.assemble(("→ ", "bold"), found.text)
        if found.source:
            said.append(f" [{found.source}]", "dim")
        self.query_one("#instead", Static).update(said)
