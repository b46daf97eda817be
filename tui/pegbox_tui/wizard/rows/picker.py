"""Where rows are picked: a path is typed, or found in a list of the folder that was typed so far."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from pegbox_runs.models import BUNDLED
from pegbox_runs.printable import one_line
from pegbox_tui.shell.choice_list import ChoiceList
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.fields import Field, visible
from pegbox_tui.wizard.aside import aside
from pegbox_tui.wizard.rows.explanations import ENTRIES, PATH
from pegbox_tui.wizard.rows.listing import (
    Entry,
    Listing,
    absolute,
    completed,
    is_utf8,
    line_of,
    look_into,
    nothing_there,
)

MARGINS = 6
"""Cells of a line that aren't its text: the list's sides, the option's, and the scroll bar."""
EXAMPLE = Entry("example", "rows.jsonl", str(BUNDLED / "rows.jsonl"))


@dataclass
class Picked(Message):
    """Something to read rows from was picked."""

    file: str
    """As a recipe names it."""


@dataclass
class HubPicked(Message):
    """A data set of the Hub was named."""

    name: str


@dataclass
class Listed(Message):
    """A folder was looked into."""

    typed: str
    listing: Listing

    def can_replace(self, message: Message) -> bool:
        """Let the newest list stand for those still queued."""
        return isinstance(message, Listed)


class PathField(Field):
    """A path, which Tab goes on with; where it can't, Tab moves on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", priority=True),
        Binding("down", "leave", show=False),
    ]

    @dataclass
    class Wanted(Message):
        """Tab was pressed: the path shall be gone on with."""

    @dataclass
    class Left(Message):
        """Down was pressed: the list below has the keys from now on."""

    def action_complete(self) -> None:
        """Ask whoever knows the folder."""
        self.post_message(self.Wanted())

    def action_leave(self) -> None:
        """Go to what is listed below."""
        self.post_message(self.Left())

    def explanation(self) -> Explanation:
        """Explain what can be typed."""
        return PATH


class Entries(ChoiceList):
    """What can be picked; above its first line is the field."""

    def action_cursor_up(self) -> None:
        """Go up, from the first line into the field."""
        if self.highlighted in self.open_lines()[:1]:
            self.screen.focus_previous()
        else:
            super().action_cursor_up()

    def explanation(self) -> Explanation:
        """Explain what is listed."""
        return ENTRIES


class Picker(Vertical):
    """A field and a list; the list follows the field, and what is chosen in it goes into the field."""

    def __init__(self, begin: Path) -> None:
        super().__init__(id="pick")
        self._here = begin
        self._listing = Listing(begin)
        self._left = threading.Event()

    def compose(self) -> ComposeResult:
        """Lay out."""
        yield Static(
            "Rows: a file, a folder of files, or a data set of the Hub (org/name)", classes="title", markup=False
        )
        yield PathField(placeholder="type a path, or choose below", id="path", compact=True)
        yield Static(id="where", markup=False)
        yield Entries(id="entries", markup=False)

    def on_mount(self) -> None:
        """List the first folder."""
        self._list("", self._here)

    def on_unmount(self) -> None:
        """Let the threads end."""
        self._left.set()

    def _list(self, typed: str, here: Path) -> None:
        """Look into a folder; one of a network that hangs shall not keep the app from ending."""
        aside(lambda: Listed(typed, look_into(typed, here)), self, self._left)

    def on_listed(self, message: Listed) -> None:
        """Draw a folder, unless another one is wanted by now."""
        message.stop()
        field = self.query_one(PathField)
        if message.typed != field.value:
            return
        self._listing = message.listing
        self._here = message.listing.folder
        self._draw()

    def on_resize(self, _: events.Resize) -> None:
        """Draw the list as wide as it is now."""
        self._draw()

    def _draw(self) -> None:
        entries, listing = self.query_one(Entries), self._listing
        width = max(40, self.size.width - MARGINS)
        highlighted = entries.highlighted
        entries.clear_options()
        entries.add_options([Option(line_of(entry, width), disabled=bool(entry.fault)) for entry in self._shown()])
        entries.choose(highlighted)
        told = one_line(str(listing.folder), width) if not listing.problem else one_line(listing.problem, 2 * width)
        if not listing.problem and not entries.option_count:
            told = one_line(nothing_there(self.query_one(PathField).value), 2 * width)
        self.query_one("#where", Static).update(told)

    def _shown(self) -> tuple[Entry, ...]:
        typed = self.query_one(PathField).value
        return self._listing.entries if typed else (EXAMPLE, *self._listing.entries)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Let the list follow what is typed."""
        event.stop()
        self._list(event.value, self._here)

    def on_path_field_left(self) -> None:
        """Go to the list, whose first line is chosen then; to an empty one nobody can go."""
        if self.query_one(Entries).open_lines():
            self.query_one(Entries).focus()

    def on_path_field_wanted(self) -> None:
        """Go on with what was typed; where nothing can be added, go to the list, if there is any."""
        field = self.query_one(PathField)
        longer = completed(field.value, self._listing)
        if visible(longer) == longer and longer != field.value:
            field.value = longer
            field.cursor_position = len(longer)
        elif self.query_one(Entries).open_lines():
            self.query_one(Entries).focus()
        else:
            self.notify(nothing_there(field.value), severity="warning", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was typed: a file or a Hub id; a folder is gone into."""
        event.stop()
        typed = event.value.strip()
        if not typed:
            self.query_one(Entries).focus()
            return
        if any(entry.kind == "hub" for entry in self._listing.entries):
            self.post_message(HubPicked(typed))
            return
        try:
            path = Path(absolute(typed))
            folder = path.is_dir()
        except Exception as error:  # noqa: BLE001 - whatever a path can be that is no path
            self.notify(one_line(str(error), 300), severity="warning", markup=False)
            return
        self._go_into(path) if folder else self._pick(str(path))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take a file, go into a folder."""
        event.stop()
        entry = self._shown()[event.option_index]
        if entry.kind in ("folder", "up"):
            self._go_into(Path(entry.path))
        elif entry.kind == "hub":
            self.post_message(HubPicked(entry.path))
        else:
            self._pick(entry.path)

    def _pick(self, path: str) -> None:
        if is_utf8(path):
            self.post_message(Picked(path))
        else:
            self.notify("A folder on the way there has a name that isn't UTF-8; rename it.", severity="warning")

    def _go_into(self, folder: Path) -> None:
        """Show another folder. A name that can't be typed is kept beside the field, which stays empty then."""
        field, text = self.query_one(PathField), f"{str(folder).rstrip('/')}/"
        with self.prevent(Input.Changed):
            field.value = text if visible(text) == text else ""
            field.cursor_position = len(field.value)
        self._here = folder
        self.query_one(Entries).choose(None)
        self._list(field.value, folder)
