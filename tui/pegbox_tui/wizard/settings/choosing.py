"""Choosing another method: the list of all of them, priced in a thread."""

from __future__ import annotations

from typing import Any

from textual import work

from pegbox_methods.refusal import Refusal
from pegbox_runs.drafts import Draft
from pegbox_runs.method_offers import Offers, for_method, offers
from pegbox_runs.settling import Settled
from pegbox_tui.wizard.settings.messages import MethodsOffered
from pegbox_tui.wizard.settings.method_list import MethodList
from pegbox_tui.wizard.step import StepScreen


class Choosing(StepScreen):
    """A step that holds a settled draft, whose method may be another one."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._settled: Settled | None = None

    def take(self, draft: Draft) -> None:
        """Have a changed draft kept and priced."""
        raise NotImplementedError

    def take_saying(self, draft: Draft, said: str) -> None:
        """Take a draft, and say what else was changed in it; empty: nothing."""
        if said:
            self.notify(said, markup=False)
        self.take(draft)

    def action_methods(self) -> None:
        """List all methods to choose from."""
        chosen = MethodList(self._settled.card.name if self._settled else self.draft.method or "")
        self.app.push_screen(chosen, self._take_method)
        self._offer(self.draft)

    def _take_method(self, name: str | None) -> None:
        taken, usual = (self._settled.card.name, self._settled.usual_method) if self._settled else ("", "")
        if name is not None and name != taken:
            self.take(for_method(self.draft, None if name == usual else name))

    @work(thread=True, exclusive=True, group="offer")
    def _offer(self, draft: Draft) -> None:
        """Price all methods."""
        try:
            found = offers(draft, self.bench.settled)
        except Refusal as refusal:
            found = Offers(methods=(), left_out=(refusal.sentence,))
        self.post_message(MethodsOffered(found))

    def on_methods_offered(self, message: MethodsOffered) -> None:
        """Fill the list, if it is still open."""
        if isinstance(self.app.screen, MethodList):
            self.app.screen.show(message.offers)
