"""Choosing what is compared, how often and within which budget; it is left with a comparison that may begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.asking.creating import CheckedComparison
from pegbox_runs.arena.asking.plan_words import plan_lines
from pegbox_runs.comparison import Compared
from pegbox_runs.method_offers import Offers
from pegbox_runs.printable import printable
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.fields import Field
from pegbox_tui.shell.key_line import KeyLine
from pegbox_tui.wizard.method_words import HEADER
from pegbox_tui.wizard.review.compare_list import CompareList

ABOUT = Explanation(
    "Compare",
    "Each contestant is trained on the same rows, in the same order, for as many steps, and judged on the same "
    "held-out rows. Which is best is told with chance taken into account: those that can't be told apart are tied. "
    "It goes on without this terminal, and what is done is never done twice.",
)
BUDGET_EXPLAINED = Explanation(
    "Budget",
    "What all trainings may take together: a time, as 2h or 90m, or a number of optimizer steps, as 500. Each "
    "contestant then gets as many steps as fit. Left empty, each takes what the recipe says.",
)
LOOKING = "Looking at model, rows and disk for every contestant…"


class Choice(NamedTuple):
    """What was chosen."""

    methods: tuple[str, ...]
    """Empty: the recipes that were collected."""
    seeds: int
    search: bool
    budget: str
    """As it was typed; empty: none."""


@dataclass
class Looked(Message, bubble=False):
    """The choice was checked as a start would."""

    checked: CheckedComparison | None
    trouble: str = ""


class BudgetField(Field):
    """Explains itself."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "submit", "Start", key_display="↵")]

    def explanation(self) -> Explanation | None:
        """Explain what may be typed."""
        return BUDGET_EXPLAINED


class CompareScreen(ModalScreen[CheckedComparison | None]):
    """Returns a comparison that nothing speaks against and that the person wants to start; None: nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "begin", "Start"),
        Binding("tab", "app.focus_next", "Budget", priority=True),
        Binding("escape", "leave", "Back"),
        Binding("question_mark,f1", "app.explain", "Explain", key_display="?"),  # the app's stops at a modal screen
    ]

    def __init__(
        self, check: Callable[[Choice], CheckedComparison], chosen: Sequence[str], collected: Sequence[Compared] = ()
    ) -> None:
        """`check`: looks at a choice as a start would; called in a thread, raises Refusal. `chosen`: methods."""
        super().__init__()
        self._check = check
        self._list = CompareList(chosen, collected)
        self._collected = collected
        self._looking = False

    def compose(self) -> ComposeResult:
        """Lay out the list, what is said of its chosen line, and the budget."""
        with Vertical(id="comparing") as box:
            box.border_title = "Compare " + ("the collected recipes" if self._collected else "methods on these rows")
            if not self._collected:
                yield Static("   " + HEADER, id="compare-header", markup=False)
            yield self._list
            yield Static(id="compare-details", markup=False)
            with Horizontal(id="compare-budget"):
                yield Static("Budget of all together: ", markup=False)
                yield BudgetField("", "2h, 90m, or steps; empty: as the recipe says", longest=40, id="budget")
            yield Static(id="compare-said", markup=False)
            yield KeyLine()

    def on_mount(self) -> None:
        """Take the keys."""
        self._list.focus()

    def show(self, offers: Offers) -> None:
        """Show the methods, unless recipes are compared: a list that was left before it was priced asked for them."""
        if not self._collected:
            self._list.show(offers)
            self._say_more()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Say more of the chosen line."""
        event.stop()
        self._say_more()

    def on_compare_list_changed(self) -> None:
        """Let go of what was said of another choice."""
        if not self._looking:
            self._say("")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - as the base class
        """Offer no letter as a key where it is typed."""
        return not (action == "begin" and isinstance(self.focused, BudgetField))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Start from the field too."""
        event.stop()
        self.action_begin()

    def action_begin(self) -> None:
        """Check what was chosen as a start would."""
        if self._looking:
            return
        if not self._collected and len(self._list.chosen) < 2:
            self._say("! Choose two methods at least, by Space or a click.")
            return
        self._looking = True
        self._say(LOOKING)
        budget = self.query_one(BudgetField).value.strip()
        methods = () if self._collected else tuple(self._list.chosen)
        self._look(Choice(methods, self._list.seeds, self._list.search, budget))

    @work(thread=True, exclusive=True, group="compare")
    def _look(self, choice: Choice) -> None:
        try:
            checked = self._check(choice)
        except Refusal as refusal:
            self.post_message(Looked(None, refusal.sentence))
        else:
            self.post_message(Looked(checked))

    def on_looked(self, message: Looked) -> None:
        """Say what would be refused, or what is about to be done, and ask."""
        self._looking = False
        checked = message.checked
        self._say(f"! {_in_our_words(message.trouble)}" if checked is None else "")
        if checked is None:
            return

        def answered(sure: bool | None) -> None:
            if sure:
                self.dismiss(checked)

        plan = "\n".join(("Start this comparison? It goes on without this terminal.", "", *plan_lines(checked)))
        self.app.push_screen(ConfirmScreen(plan, yes="Start it", no="Not yet"), answered)

    def action_leave(self) -> None:
        """Start nothing."""
        self.dismiss(None)

    def explanation(self) -> Explanation | None:
        """Explain what this is."""
        return ABOUT

    def _say_more(self) -> None:
        self.query_one("#compare-details", Static).update(Text(printable(self._list.details())))

    def _say(self, sentence: str) -> None:
        said = self.query_one("#compare-said", Static)
        said.update(Text(printable(sentence)))
        said.display = bool(sentence)


def _in_our_words(trouble: str) -> str:
    """Name the field, where a refusal names the option of the command line."""
    return f"Budget {trouble.removeprefix('--budget ')}" if trouble.startswith("--budget ") else trouble
