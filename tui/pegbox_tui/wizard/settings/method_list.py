"""All methods to choose from: what each takes here, how long, what stands in its way."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from pegbox_runs.method_offers import Offer, Offers
from pegbox_runs.printable import one_line
from pegbox_tui.shell.choice_list import ChoiceList
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.method_words import HEADER, details, explained_offer, offer_line


class MethodList(ModalScreen[str | None]):
    """Returns the chosen method's name; None: the one that was taken stays."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back"),
        Binding("question_mark,f1", "app.explain", "Explain", key_display="?"),  # the app's stops at a modal screen
    ]

    def __init__(self, taken: str) -> None:
        super().__init__()
        self._taken = taken
        self._offers: dict[str, Offer] = {}

    def compose(self) -> ComposeResult:
        """Lay out the list and, below it, what is said of the chosen method."""
        with Vertical(id="methods") as box:
            box.border_subtitle = "Enter takes it, Escape leaves it as it was, ? explains it"
            yield Static(HEADER, id="methods-header", markup=False)
            yield Static(id="methods-shared", markup=False)
            yield ChoiceList(id="methods-list", markup=False)
            yield Static("Pricing every method for this machine…", id="methods-details", markup=False)

    def on_mount(self) -> None:
        """Take the keys."""
        self.query_one(ChoiceList).focus()

    def show(self, offers: Offers) -> None:
        """Show the methods, as lines of their own what was left out, and above all what none of them can help."""
        self._offers = {offer.name: offer for offer in offers.methods}
        shared = self.query_one("#methods-shared", Static)
        shared.update(Text("\n".join(f"! Whatever the method: {one_line(fault, 300)}" for fault in offers.shared)))
        shared.display = bool(offers.shared)
        chosen = self.query_one(ChoiceList)
        width = max(40, chosen.size.width - 2)
        lines = [Option(Text(offer_line(offer, width), no_wrap=True), id=offer.name) for offer in offers.methods]
        left_out = [Option(Text(f"  ! {one_line(said, 300)}"), disabled=True) for said in offers.left_out]
        chosen.clear_options().add_options([*lines, *left_out])
        names = list(self._offers)
        if not names:
            self.query_one("#methods-details", Static).update(Text("No method can be priced here; the lines say why."))
        else:
            chosen.choose(names.index(self._taken) if self._taken in names else None)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Say more of it."""
        offer = self._offers.get(event.option_id or "")
        if offer is not None:
            self.query_one("#methods-details", Static).update(Text(details(offer)))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take it."""
        self.dismiss(event.option_id)

    def action_leave(self) -> None:
        """Leave it as it was."""
        self.dismiss(None)

    def explanation(self) -> Explanation | None:
        """Explain the chosen method."""
        option = self.query_one(ChoiceList).highlighted_option
        offer = None if option is None else self._offers.get(option.id or "")
        if offer is None:
            return Explanation("Methods", "All ways to tune that are installed, each priced for this machine.")
        return explained_offer(offer)
