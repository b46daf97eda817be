"""Step 2: one list of models from all sources, each with what it is and whether it fits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input, Static

from pegbox_methods.recipe import Model
from pegbox_runs.drafts import Draft, StepName
from pegbox_runs.fitting import Fit
from pegbox_runs.hub_search import offline
from pegbox_runs.printable import one_line, printable
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.aside import aside
from pegbox_tui.wizard.model import explanations
from pegbox_tui.wizard.model.choices import Asked, Choice, choices
from pegbox_tui.wizard.model.columns import Columns, columns, heading, row_text
from pegbox_tui.wizard.model.detail_pane import Details
from pegbox_tui.wizard.model.details import details, place_text
from pegbox_tui.wizard.model.entries import Entry, taken_entry
from pegbox_tui.wizard.model.folders import Folders, completed, folders, is_path
from pegbox_tui.wizard.model.hub_state import HubState
from pegbox_tui.wizard.model.listing import checked, hub_answer, judged, listed
from pegbox_tui.wizard.model.messages import Checked, FoldersRead, HubAnswered, Judged, Listed
from pegbox_tui.wizard.model.model_list import ModelList
from pegbox_tui.wizard.model.search_field import SearchField
from pegbox_tui.wizard.step import StepScreen
from pegbox_tui.wizard.workbench import Workbench

WIDE = 110
FRAME_CELLS = 3
"""Of a line of the list: its padding, and the scroll bar."""
LONG_SECONDS = 12.0
"""What must be read and acted on stays longer than the library's five seconds."""


class ModelStep(StepScreen):
    """Draws the list and the highlighted model's details; threads collect, judge, and look where asked to."""

    step: ClassVar[StepName] = "model"
    CSS_PATH = "model.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - the base class declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+f", "search_hub", "Search the Hub", priority=True),
    ]

    def __init__(self, draft: Draft, bench: Workbench) -> None:
        super().__init__(draft, bench)
        self.known = Listed()
        self.hub = HubState()
        self.fits: Mapping[str, Fit] = {}
        self._folders: Folders | None = None
        self._fault = ""  # why the folder that is taken is no model any more
        self._wanted: Model | None = None  # what was asked for last: answers to anything else come too late
        self._left = threading.Event()

    def compose_step(self) -> ComposeResult:
        """Lay out: for which device, what is typed, the list, the details."""
        yield Static("collecting models", id="place", markup=False)
        yield SearchField(placeholder="type a name, a folder (~/…), or a Hub id (org/name)", id="search")
        yield Static(id="heading", markup=False)
        yield ModelList(self._row, self._explained)
        with Details(id="detail"):
            yield Static(id="detail-text", markup=False)

    def on_mount(self) -> None:
        """Begin to collect."""
        self.query_one("#search").focus()
        self._list()

    def on_unmount(self) -> None:
        """Let the threads end unheard."""
        self._left.set()

    def on_descendant_focus(self) -> None:
        """Draw the list as having the keys while one types: the arrows move in it."""
        self.query_one(ModelList).lead(led=isinstance(self.focused, SearchField))

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002 - the library's
        """Divide the columns anew."""
        if self.known.entries:
            self._draw()

    def lacking(self) -> str | None:
        """Say what must be answered first."""
        if self.draft.model is None:
            return "No model is taken yet: choose one and press Enter."
        return printable(self._fault) or None

    def explanation(self) -> Explanation | None:
        """Explain the step."""
        return explanations.STEP

    def commands(self) -> Iterable[tuple[str, str, Callable[[], None]]]:
        """Offer the step's keys by name."""
        yield "Search the Hub", "for what is typed; asks huggingface.co", self.action_search_hub
        yield "Read the Hub cache anew", "after a model was downloaded elsewhere", self._read_anew

    @work(thread=True, exclusive=True, group="list")
    def _list(self) -> None:
        try:
            self._post(listed(self.draft, self.bench))
        except Exception as error:  # noqa: BLE001 - whatever a disk or a driver raises is one sentence
            self._post(Listed(faults=(f"models can't be listed: {type(error).__name__}: {error}",)))

    @work(thread=True, exclusive=True, group="fits")
    def _judge(self, entries: list[Entry]) -> None:
        for fits in judged(entries, self.fits, self.draft, self.bench, self._left.is_set):
            self._post(Judged(fits))

    @work(thread=True, exclusive=True, group="folders")
    def _read_folders(self, typed: str) -> None:
        self._post(FoldersRead(folders(typed)))

    def _post(self, message: Message) -> None:
        if not self._left.is_set():
            self.post_message(message)

    def on_listed(self, message: Listed) -> None:
        """Draw the list, and have it judged, what is seen first."""
        self.known = message
        for fault in message.faults:
            self._warn(fault)
        self._draw()
        taken = message.entries[0] if message.entries else None
        if taken is not None and taken.section == "taken":
            aside(partial(checked, taken.model, to_take=False), self, self._left)
        if message.place is not None:
            seen = set(self.query_one(ModelList).seen())
            self._judge(sorted(message.entries, key=lambda entry: entry.id not in seen))

    def on_judged(self, message: Judged) -> None:
        """Write the new verdicts into their lines."""
        fresh = {entry for entry, fit in message.fits.items() if self.fits.get(entry) is not fit}
        self.fits = {**self.fits, **message.fits}
        self.query_one(ModelList).redraw(fresh)
        self._draw_details()

    def on_folders_read(self, message: FoldersRead) -> None:
        """List the folders, unless something else is typed by now."""
        if message.folders.typed == self._typed():
            self._folders = message.folders
            self._draw()

    def on_hub_answered(self, message: HubAnswered) -> None:
        """List what the Hub has, or say why nothing came."""
        if message.words != self.hub.words:
            return
        self.hub = self.hub.answered(message)
        if message.refusal is not None:
            self._warn(message.refusal)
        self._draw(message.entries[0].id if message.entries else None)
        self._judge(list(message.entries))

    def on_checked(self, message: Checked) -> None:
        """Take a model that was looked at, or say what is wrong with it; the draft stays then."""
        if message.model != (self._wanted if message.to_take else self.draft.model):
            return
        self._wanted = None if message.to_take else self._wanted
        if message.refusal is not None:
            self._warn(message.refusal)
            if is_path(message.model.name) and not message.to_take:
                self._fault = message.refusal
                self.bench.forget("model", "fit")
            self._draw()
            return
        entry = taken_entry(message.model, message.found)
        if message.to_take:
            self._fault = ""
            self.query_one("#search", Input).value = ""
            self.change(model=message.model)
        kept = tuple(other for other in self.known.entries if other.section != "taken")
        self.known = replace(self.known, entries=(entry, *kept))
        self._draw(entry.id)
        self._judge([entry])

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list, or look at the folders of a path."""
        if is_path(event.value):
            self._read_folders(event.value)
        self._draw()

    def on_input_submitted(self) -> None:
        """Choose what is highlighted."""
        self.query_one(ModelList).action_select()

    def on_search_field_moved(self, message: SearchField.Moved) -> None:
        """Move in the list."""
        self.query_one(ModelList).move(message.rows)

    def on_search_field_completing(self) -> None:
        """Complete the path as far as it is clear."""
        if self._folders is not None:
            self._type(completed(self._typed(), self._folders))

    def on_option_list_option_highlighted(self) -> None:
        """Show its details."""
        self._draw_details()

    def on_option_list_option_selected(self) -> None:
        """Take the model, go into the folder, or ask the Hub; the model that is taken already means to go on."""
        choice = self.query_one(ModelList).chosen
        if choice is None:
            return
        if choice.act is not None:
            choice.act()
        elif choice.folder is not None and choice.folder.is_model:
            self._look_at(Model(name=str(choice.folder.path)))
        elif choice.folder is not None:
            self._type(choice.folder.typed)
        elif choice.entry is not None and choice.entry.model == self.draft.model:
            self._wanted = None
            self.action_turn("next")
        elif choice.entry is not None and choice.entry.section == "hub":
            self._look_at(choice.entry.model)
        elif choice.entry is not None:
            self._wanted, self._fault = None, ""
            self.change(model=choice.entry.model)
            self._draw()

    def action_search_hub(self) -> None:
        """Ask the Hub for what is typed. Nothing leaves this machine before."""
        words = self._typed().strip()
        if not words or is_path(words):
            self._warn("Type what to search for on the Hub first.")
            return
        self.hub = self.hub.asking(words)
        self._draw()
        aside(partial(hub_answer, words, self._left.is_set), self, self._left)

    def _look_at(self, model: Model) -> None:
        self._wanted = model
        self.query_one("#place", Static).update(f"looking at {one_line(model.name, 60)}")
        aside(partial(checked, model, to_take=True), self, self._left)

    def _read_anew(self) -> None:
        self.bench.forget("cached", "model", "fit")
        self.fits = {}
        self._list()

    def _warn(self, sentence: str) -> None:
        self.notify(printable(sentence), severity="warning", timeout=LONG_SECONDS, markup=False)

    def _typed(self) -> str:
        return self.query_one("#search", Input).value

    def _type(self, text: str) -> None:
        field = self.query_one("#search", Input)
        field.value = text
        field.cursor_position = len(field.value)

    def _columns(self) -> Columns:
        return columns(self.size.width - FRAME_CELLS)

    def _row(self, choice: Choice) -> Text:
        entry = choice.entry
        if entry is None:
            return Text(choice.said)
        fit = self.fits.get(entry.id, None if entry.found else Fit(why="its config.json isn't here"))
        return row_text(entry, fit, self._columns(), taken=entry.model == self.draft.model)

    def _explained(self, choice: Choice) -> Explanation | None:
        entry = choice.entry
        return explanations.FIELD if entry is None else explanations.explain(entry, self.fits.get(entry.id))

    def _draw(self, wanted: str | None = None) -> None:
        """Draw the list anew; highlight what is wanted, else what was highlighted, else what is taken."""
        models = self.query_one(ModelList)
        entries = (*self.known.entries, *self.hub.entries)
        asked = Asked(self._typed(), self._folders, self.hub, offline())
        taken = next((entry.id for entry in entries if entry.model == self.draft.model), None)
        before = models.chosen.id if models.chosen else taken
        look_at = lambda name: self._look_at(Model(name=name))  # noqa: E731
        models.show(list(choices(asked, entries, self.action_search_hub, look_at)), wanted or before)
        self.query_one("#heading", Static).update(heading(self._columns()))
        self.query_one("#place", Static).update(place_text(self.known.place, self.draft))
        self._draw_details()

    def _draw_details(self) -> None:
        choice, known = self.query_one(ModelList).chosen, self.known
        entry = choice.entry if choice else None
        said = Text()
        if entry is not None:
            taken = entry.model == self.draft.model
            fit, gone = self.fits.get(entry.id), self._fault if taken else ""
            said = details(entry, fit, known, taken=taken, gone=gone, hub_fault=self.hub.fault)
        self.query_one("#detail-text", Static).update(said)
        self.query_one("#detail").scroll_home(animate=False)
