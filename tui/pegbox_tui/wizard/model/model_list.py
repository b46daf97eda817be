"""The list of models: lines in sections, of which the headings are passed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.widgets.option_list import Option

from pegbox_tui.shell.choice_list import ChoiceList
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.model.choices import Choice
from pegbox_tui.wizard.model.columns import Row


class ModelList(ChoiceList):
    """Draws choices by a function that it is given; each explains itself."""

    def __init__(self, row: Callable[[Choice], Row], explain: Callable[[Choice], Explanation | None]) -> None:
        super().__init__(id="models", markup=False)
        self._row = row
        self._explain = explain
        self._choices: Sequence[Choice] = ()

    @property
    def chosen(self) -> Choice | None:
        """Give what is highlighted."""
        number = self.highlighted
        return self._choices[number] if number is not None and number < len(self._choices) else None

    def show(self, choices: Sequence[Choice], wanted: str | None) -> None:
        """List choices, and highlight the one of an id, else the first that is no heading."""
        self._choices = choices
        self.set_options(Option(self._row(choice), disabled=choice.is_heading) for choice in choices)
        there = [number for number in self.open_lines() if choices[number].id == wanted]
        self.choose(there[0] if there else None)
        if not there:
            self.scroll_to(y=0, animate=False)

    def redraw(self, ids: set[str]) -> None:
        """Draw some of them anew."""
        for number, choice in enumerate(self._choices):
            if choice.id in ids:
                self.replace_option_prompt_at_index(number, self._row(choice))

    def seen(self) -> list[str]:
        """Give the ids of those on the screen."""
        top, height = int(self.scroll_y), self.size.height
        return [choice.id for choice in self._choices[top : top + height]]

    def explanation(self) -> Explanation | None:
        """Explain the highlighted line."""
        return None if self.chosen is None else self._explain(self.chosen)
