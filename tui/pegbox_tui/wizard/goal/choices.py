"""Two lists of the goal's step: one of several choices, and questions with yes or no."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from pegbox_methods.advice.instead import IN_WORDS, QUESTIONS, Asked
from pegbox_tui.shell.choice_list import ChoiceList
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.goal.words import Offer, explain_question

ANSWERS: Mapping[bool | None, str] = {True: "yes", False: "no", None: "-"}
QUESTION = 61
"""Characters before an answer."""


@dataclass
class Chosen(Message):
    """One of several choices was taken."""

    kind: str
    name: str


@dataclass
class Replied(Message):
    """A question was answered; None: the answer was taken back."""

    asked: Asked
    yes: bool | None


class Choices(ChoiceList):
    """Shows which of several is chosen by a sign; Enter or a click chooses."""

    def __init__(
        self, kind: str, offers: Sequence[Offer], chosen: str, says: Callable[[str, str], Explanation | None]
    ) -> None:
        super().__init__(id=kind, markup=False, classes="choices")
        self._kind = kind
        self._offers = offers
        self._says = says
        self.chosen = chosen
        for offer in offers:
            self.add_option(Option(self._line(offer)))
        self.choose(next((place for place, offer in enumerate(offers) if offer.name == chosen), None))

    @property
    def pointed(self) -> str:
        """Give the name under the cursor."""
        return self._offers[self.highlighted or 0].name

    def explanation(self) -> Explanation | None:
        """Explain the choice under the cursor."""
        return self._says(self._kind, self.pointed)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take what was chosen."""
        event.stop()
        self.chosen = self._offers[event.option_index].name
        for place, offer in enumerate(self._offers):
            self.replace_option_prompt_at_index(place, self._line(offer))
        self.post_message(Chosen(self._kind, self.chosen))

    def _line(self, offer: Offer) -> Text:
        return Text(f"{'●' if offer.name == self.chosen else '○'} {offer.label}")


class Questions(ChoiceList):
    """A question a line, with its answer behind it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "reply(True)", "Yes"),
        Binding("n", "reply(False)", "No"),
        Binding("backspace,delete", "reply(None)", "Take back", show=False),
    ]

    def __init__(self, answers: Mapping[str, bool]) -> None:
        super().__init__(id="questions", markup=False)
        self._answers: dict[Asked, bool | None] = {asked: answers.get(asked) for asked in QUESTIONS}
        for asked in QUESTIONS:
            self.add_option(Option(self._line(asked)))
        self.choose(None)

    def explanation(self) -> Explanation | None:
        """Explain the question under the cursor."""
        return explain_question(QUESTIONS[self.highlighted or 0])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go to the next answer: yes, no, none."""
        event.stop()
        self._reply(QUESTIONS[event.option_index], {None: True, True: False, False: None}[self._at(event.option_index)])

    def action_reply(self, yes: bool | None) -> None:
        """Answer the question under the cursor, and go to the next one."""
        place = self.highlighted or 0
        self._reply(QUESTIONS[place], yes)
        self.move(1)

    def _at(self, place: int) -> bool | None:
        return self._answers[QUESTIONS[place]]

    def _reply(self, asked: Asked, yes: bool | None) -> None:
        self._answers[asked] = yes
        self.replace_option_prompt_at_index(QUESTIONS.index(asked), self._line(asked))
        self.post_message(Replied(asked, yes))

    def _line(self, asked: Asked) -> Text:
        return Text.assemble(f"{IN_WORDS[asked]:<{QUESTION}}", (ANSWERS[self._answers[asked]], "bold"))
