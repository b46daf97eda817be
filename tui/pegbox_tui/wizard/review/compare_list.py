"""What a comparison is made of, as one list for keys and mouse: how often, whether rates are looked for, who."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from pegbox_runs.arena.spec import MOST_SEEDS
from pegbox_runs.comparison import Compared
from pegbox_runs.method_offers import Offer, Offers
from pegbox_runs.printable import one_line
from pegbox_tui.shell.choice_list import ChoiceList
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.method_words import details, explained_offer, offer_line
from pegbox_tui.wizard.review.words import compared_line

SEEDS, CLICKED_SEEDS = 3, 5
"""How many trainings each gets unless asked otherwise, and up to how many a click counts."""
SEEDS_EXPLAINED = Explanation(
    "Trainings of each",
    "Each contestant is trained so many times, with another seed each time: other first weights, another order of "
    "rows. Two methods may differ by chance as much as by merit; several trainings show how much that is. Left and "
    "Right change it. Three is a good beginning, one is quick and says little.",
    "Differences under 3 points from one seed mean nothing: PEFT's method_comparison re-run at the same seed",
)
RATES_EXPLAINED = Explanation(
    "Learning rates",
    "A method at a learning rate that doesn't suit it looks bad. So three rates around each contestant's own are tried "
    "for a short while, the better two for twice as long, and the best is taken: as many tries for each. Enter turns "
    "it off; then each trains at its own.",
    "Successive halving: Jamieson and Talwalkar 2016, arXiv:1502.07943",
)


class CompareList(ChoiceList):
    """Two questions, and behind them the methods to choose from, or the recipes that were collected.

    A line's id is `seeds`, `rates`, or `method:NAME`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "select", "Choose"),
        Binding("left", "count(-1)", "Fewer", show=False),
        Binding("right", "count(1)", "More", show=False),
    ]

    class Changed(Message):
        """Something else is chosen."""

    def __init__(self, chosen: Sequence[str], collected: Sequence[Compared]) -> None:
        super().__init__(id="compare-list", markup=False)
        self.seeds = SEEDS
        self.search = True
        self.chosen = list(chosen)
        """Methods, in the order in which they were chosen."""
        self._collected = collected
        self._offers: Mapping[str, Offer] = {}
        self._said: Sequence[str] = () if collected else ("Pricing every method for this machine…",)

    def on_mount(self) -> None:
        """Show what is known."""
        self._write()

    def show(self, offers: Offers) -> None:
        """Show the methods with their prices; those that can't be used here can't be chosen."""
        self._offers = {offer.name: offer for offer in offers.methods}
        usable = {offer.name for offer in offers.methods if offer.obstacle is None}
        self.chosen = [name for name in self.chosen if name in usable]
        whatever = [f"! Whatever the method: {fault}" for fault in offers.shared]
        self._said = [*whatever, *(f"! {said}" for said in offers.left_out)]
        self._write()

    def on_resize(self) -> None:
        """Cut the lines anew."""
        self._write()

    def details(self) -> str:
        """Say more of the chosen line."""
        offer = self._offer()
        if offer is not None:
            return details(offer)
        explained = self.explanation()
        return "" if explained is None else explained.text

    def explanation(self) -> Explanation | None:
        """Explain the chosen line."""
        offer = self._offer()
        if offer is not None:
            return explained_offer(offer)
        option = self.highlighted_option
        return RATES_EXPLAINED if option is not None and option.id == "rates" else SEEDS_EXPLAINED

    def action_select(self) -> None:
        """Take the chosen line, or leave it out: at once, for the next key may be the start."""
        option = self.highlighted_option
        if option is not None and not option.disabled:
            self._take(option.id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the line that was clicked, or leave it out."""
        event.stop()
        self._take(event.option_id)

    def _take(self, id_: str | None) -> None:
        kind, _, name = (id_ or "").partition(":")
        if kind == "seeds":
            self.seeds = self.seeds % CLICKED_SEEDS + 1
        elif kind == "rates":
            self.search = not self.search
        elif name in self.chosen:
            self.chosen.remove(name)
        elif kind == "method":
            self.chosen.append(name)
        self._write()
        self.post_message(self.Changed())

    def action_count(self, by: int) -> None:
        """Train each more often, or less."""
        option = self.highlighted_option
        if option is not None and option.id == "seeds":
            self.seeds = min(max(1, self.seeds + by), MOST_SEEDS)
        elif option is not None and option.id == "rates":
            self.search = not self.search
        self._write()
        self.post_message(self.Changed())

    def _offer(self) -> Offer | None:
        option = self.highlighted_option
        return None if option is None else self._offers.get((option.id or "").partition(":")[2])

    def _write(self) -> None:
        here = self.highlighted
        times = "once" if self.seeds == 1 else f"{self.seeds} times"
        rates = "three are tried first" if self.search else "each one's own, nothing is tried"
        lines = [
            Option(Text(f"Each is trained: {times}"), id="seeds"),
            Option(Text(f"Learning rates: {rates}"), id="rates"),
        ]
        width = max(40, self.size.width - 4)
        for offer in self._offers.values():
            mark = "[x]" if offer.name in self.chosen else "[ ]"
            line = Text(f"{mark}{offer_line(offer, width - 3)}", no_wrap=True, overflow="ellipsis")
            lines.append(Option(line, id=f"method:{offer.name}", disabled=offer.obstacle is not None))
        lines += [Option(Text(compared_line(one)), disabled=True) for one in self._collected]
        lines += [Option(Text(one_line(said, 300)), disabled=True) for said in self._said]
        top = self.scroll_offset.y
        self.clear_options().add_options(lines)
        self.choose(here)
        self.scroll_to(y=top, animate=False)
