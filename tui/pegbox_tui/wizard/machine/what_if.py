"""The question for which card one plans: a list of all known ones, that narrows as one types."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from pegbox_hardware.profiles import Profiles
from pegbox_runs.drafts import PlannedCard
from pegbox_runs.printable import one_line
from pegbox_tui.shell.choice_list import ChoiceList
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.fields import Field
from pegbox_tui.wizard.machine.cards import Plannable, all_cards, plannable
from pegbox_tui.wizard.machine.explanations import WHAT_IF

NAME_CELLS = 30
LONGEST = 60


class WhatIfScreen(ModalScreen[PlannedCard | None]):
    """Dismissed with the card that is planned for; None: with what was planned before."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close"),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("pagedown", "move(10)", show=False, priority=True),
        Binding("pageup", "move(-10)", show=False, priority=True),
    ]

    def __init__(self, profiles: Profiles) -> None:
        super().__init__()
        self._cards = all_cards(profiles)
        self._listed: tuple[Plannable, ...] = ()

    def compose(self) -> ComposeResult:
        """Lay out a line to type into, and the cards below."""
        with Vertical(id="what-if"):
            yield Static("Plan for which card? Its name, or its memory in GiB.", id="asked", markup=False)
            yield Field(placeholder="4090, a100 80, 24", longest=LONGEST, id="card")
            yield ChoiceList(id="cards", markup=False)
            yield Static("↵ takes it · Esc leaves it as it was", id="how", markup=False)

    def on_mount(self) -> None:
        """Show all of them."""
        self.query_one("#cards", ChoiceList).lead()
        self._narrow("")
        self.query_one("#card").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list to what is typed."""
        self._narrow(event.value)

    def on_input_submitted(self) -> None:
        """Take the highlighted card."""
        self.query_one("#cards", ChoiceList).action_select()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Return it."""
        self.dismiss(self._listed[event.option_index].planned)

    def action_move(self, rows: int) -> None:
        """Move in the list, wherever the focus is; it ends at its ends."""
        self.query_one("#cards", ChoiceList).move(rows)

    def explanation(self) -> Explanation | None:
        """Explain the highlighted card's figures."""
        number = self.query_one("#cards", ChoiceList).highlighted
        card = self._listed[number].card if number is not None and self._listed else None
        if card is None:
            return WHAT_IF
        source = card.source
        return Explanation(
            card.name,
            f"{self._listed[number or 0].said}; {card.bandwidth_gbs:g} GB/s to its memory. {WHAT_IF.text}",
            f"{source.kind}: {source.where}, {source.when}",
        )

    def _narrow(self, typed: str) -> None:
        self._listed = tuple(plannable(typed, self._cards))
        cards = self.query_one("#cards", ChoiceList)
        cards.clear_options()
        cards.add_options(
            Option(Text.assemble(one_line(one.name, NAME_CELLS).ljust(NAME_CELLS + 1), (one.said, "dim")))
            for one in self._listed
        )
        cards.choose(None)
        asked = "Plan for which card? Its name, or its memory in GiB."
        self.query_one("#asked", Static).update(
            asked if self._listed else "No known card is called that. Type its GiB."
        )
