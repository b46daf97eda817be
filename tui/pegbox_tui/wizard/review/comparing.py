"""The comparison in the review: methods are chosen, or recipes collected one by one, and a comparison started."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from textual import work

from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.asking.creating import CheckedComparison
from pegbox_runs.comparison import Compared, add, collected, is_among, take_out
from pegbox_runs.drafts import Draft
from pegbox_runs.method_offers import Offers, offers
from pegbox_runs.settling import Settled
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.wizard.messages import StartAsked
from pegbox_tui.wizard.review import working
from pegbox_tui.wizard.review.compare_screen import CompareScreen
from pegbox_tui.wizard.review.messages import ComparisonRead, MethodsOffered
from pegbox_tui.wizard.step import StepScreen


class Comparing(StepScreen):
    """A step that holds a settled recipe and the comparison that it may be added to."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._settled: Settled | None = None
        self._trouble = ""
        self._there: Sequence[Compared] = ()
        self._starting = False
        self._said = ""

    def say(self, sentence: str) -> None:
        """Say what happened, until something else does; it stays on the screen."""
        self._said = sentence
        self.draw()

    def asked_for(self) -> Settled | None:
        """Give the recipe, where it is the one that was asked for; else say why there is nothing to be done with it.

        Of values that no recipe takes, it holds the advised ones.
        """
        if self._settled is None or self._settled.faults:
            wrong = self._trouble if self._settled is None else " ".join(self._settled.faults)
            self.say(f"! To be mended first: {wrong}" if wrong else "The recipe is still being put together.")
            return None
        return self._settled

    def draw(self) -> None:
        """Show what is known now."""
        raise NotImplementedError

    def read_comparison(self, said: str = "") -> None:
        """Read what is in the comparison; `said`: what happened to it. May be called from a thread."""
        there, unread = collected()
        self.post_message(ComparisonRead(there, said or " ".join(unread)))

    def on_comparison_read(self, message: ComparisonRead) -> None:
        """Show what is in the comparison."""
        self._there = message.there
        self._said = message.said or self._said
        self.draw()

    def action_compare(self) -> None:
        """Add the recipe to the comparison."""
        settled = self.asked_for()
        if settled is None:
            return
        try:
            added = add(settled.recipe)
        except Refusal as refusal:
            self.say(f"! {refusal.sentence}")
            return
        self.read_comparison(f"Added as {added.name}. Go back and change a setting to add another.")

    def ask_out(self, name: str) -> None:
        """Take a recipe out of the comparison, after asking."""

        def out(sure: bool | None) -> None:
            if sure:
                try:
                    take_out(name)
                except Refusal as refusal:
                    self.say(f"! {refusal.sentence}")
                self.read_comparison()

        self.app.push_screen(ConfirmScreen(f"Take {name} out of the comparison?", yes="Take out"), out)

    def action_methods(self) -> None:
        """Choose methods that are compared on the draft's model and rows."""
        settled = self.asked_for()
        if settled is None or self._starting:
            return
        check = partial(working.check_methods, self.draft, settled)
        chosen = dict.fromkeys(name for name in (settled.card.name, settled.usual_method) if name)
        self._open(CompareScreen(check, tuple(chosen)), settled, ())
        self._offer(self.draft)

    def start_all(self) -> None:
        """Ask how the collected recipes are compared, and start that."""
        if len(self._there) == 1:
            self.say("! One recipe is nothing to compare: add another, or press m to compare methods with this one.")
        elif self._there and self._settled is not None and not self._starting:
            check = partial(working.check_collected, self.draft, self._settled, tuple(self._there))
            self._open(CompareScreen(check, (), self._there), self._settled, tuple(self._there))

    def _open(self, screen: CompareScreen, settled: Settled, there: Sequence[Compared]) -> None:
        def chosen(checked: CheckedComparison | None) -> None:
            if checked is None or self._starting:
                return
            self._starting = True
            self.say("The comparison is being started…")
            begin = partial(working.begin_comparison, checked, tuple(one.name for one in there))
            self.post_message(StartAsked(self, begin, is_among(settled.recipe, there)))

        self.app.push_screen(screen, chosen)

    @work(thread=True, exclusive=True, group="offer")
    def _offer(self, draft: Draft) -> None:
        """Price all methods on this machine, whatever card was planned for."""
        try:
            found = offers(working.unplanned(draft), self.bench.settled)
        except Refusal as refusal:
            found = Offers(methods=(), left_out=(refusal.sentence,))
        self.post_message(MethodsOffered(found))

    def on_methods_offered(self, message: MethodsOffered) -> None:
        """Fill the list, if it is still open."""
        for screen in self.app.screen_stack:
            if isinstance(screen, CompareScreen):
                screen.show(message.offers)
