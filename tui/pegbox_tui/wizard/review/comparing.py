"""The comparison in the review: recipes are added, taken out, and started one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual import work

from pegbox_methods.refusal import Refusal
from pegbox_runs.comparison import Compared, add, collected, take_out
from pegbox_runs.drafts import Draft
from pegbox_runs.settling import Settled
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.wizard.review import working
from pegbox_tui.wizard.review.messages import Asked, ComparisonRead
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

    def start_all(self) -> None:
        """Start all recipes of the comparison, after asking."""
        if self._there and self._settled is not None and not self._starting:
            self._starting = True
            self._doubt_all(self._settled, self.draft, tuple(self._there))

    @work(thread=True, exclusive=True, group="start")
    def _doubt_all(self, settled: Settled, draft: Draft, compared: tuple[Compared, ...]) -> None:
        """Find out which of them may not fit."""
        self.post_message(Asked(working.doubts_of_all(draft, settled, compared, self.bench), compared))
