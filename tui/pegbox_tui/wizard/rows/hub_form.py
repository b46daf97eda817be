"""Asks which part of a data set of the Hub shall be fetched, and whether."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from pegbox_methods.recipe import Rows
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_tui.wizard.rows.explanations import HUB_SPLIT, LIMIT, SUBSET
from pegbox_tui.wizard.rows.forms import ExplainedField, rows_limit

FIELDS = (
    ("subset", "subset", SUBSET, "its only one"),
    ("hub_split", "split", HUB_SPLIT, "train"),
    ("limit", "only the first", LIMIT, "all rows"),
)


class HubScreen(ModalScreen[Rows | None]):
    """Dismissed with the rows to fetch, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Leave it")]

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self._rows = rows

    def compose(self) -> ComposeResult:
        """Lay out the name, three fields and two buttons."""
        given = {"subset": self._rows.hub_subset or "", "hub_split": self._rows.hub_split, "limit": ""}
        if self._rows.limit is not None:
            given["limit"] = str(self._rows.limit)
        with Vertical(id="hub"):
            yield Static(
                f"Fetch {one_line(self._rows.file, 50)} from the Hugging Face Hub?", classes="title", markup=False
            )
            yield Static("It is kept here, and no network is needed from then on.", markup=False)
            for name, label, about, placeholder in FIELDS:
                with Horizontal(classes="labelled"):
                    yield Static(label, classes="label")
                    yield ExplainedField(about, placeholder, id=name, value=given[name])
            with Horizontal(id="answers"):
                yield Button("Fetch it", id="fetch", variant="primary")
                yield Button("Leave it", id="leave")

    def on_mount(self) -> None:
        """Let Enter by itself fetch what was named."""
        self.query_one("#fetch").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        if event.button.id == "leave":
            self.dismiss(None)
        else:
            self._fetch()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take Enter in a field for the button."""
        event.stop()
        self._fetch()

    def _fetch(self) -> None:
        subset, split, limit = (self.query_one(f"#{name}", ExplainedField).value.strip() for name, *_ in FIELDS)
        try:
            chosen = {"hub_subset": subset or None, "hub_split": split or "train", "limit": rows_limit(limit)}
        except Refusal as refusal:
            self.notify(refusal.sentence, severity="warning", markup=False)
            return
        self.dismiss(msgspec.structs.replace(self._rows, **chosen))
