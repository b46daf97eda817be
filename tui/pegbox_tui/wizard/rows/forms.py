"""What can be set of the rows by hand: how they are parted, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Input, Static

from pegbox_methods.recipe import Column, Rows, RowsFormat, Split
from pegbox_methods.refusal import Refusal
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.fields import Field
from pegbox_tui.wizard.rows.arrow_field import ArrowField
from pegbox_tui.wizard.rows.explanations import BY, COLUMN, FORMAT, LIMIT, OWN_FILE, SHARE, STRATIFY
from pegbox_tui.wizard.rows.splitting import with_column, with_file, with_share

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
MOST_ROWS = 1_000_000_000
"""As a recipe has it."""
NO_COLUMN = "no column"
LOOKED_FOR = "by looking"
FORMATS: tuple[str, ...] = get_args(RowsFormat)
BY_HAND: tuple[Column, ...] = ("prompt", "completion", "system", "messages", "text")
"""Columns that the form offers; a recipe knows more."""


@dataclass
class SplitChanged(Message):
    """The rows shall be parted in another way."""

    split: Split


@dataclass
class ReadingChanged(Message):
    """The rows shall be read in another way."""

    rows: Rows


class ExplainedField(Field):
    """A field that says what it is for."""

    def __init__(self, about: Explanation, placeholder: str, *, id: str, value: str = "") -> None:  # noqa: A002
        super().__init__(value, placeholder, id=id, compact=True)
        self._about = about

    def show(self, value: str) -> None:
        """Show a value that wasn't typed here, unless somebody is typing."""
        if not self.has_focus:
            self.value = value

    def explanation(self) -> Explanation:
        """Explain the field."""
        return self._about


class SplitForm(VerticalScroll, can_focus=False):
    """Which rows are held out."""

    def __init__(self, split: Split) -> None:
        super().__init__(id="split")
        self._split = split
        self._keys: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        """Lay out; the values come with `show`."""
        yield Static("Which rows are kept apart to judge by", classes="title")
        yield ArrowField("held out", SHARE, id="share")
        yield ArrowField("together by", BY, id="by")
        yield ArrowField("same share of", STRATIFY, id="stratify")
        with Horizontal(classes="labelled"):
            yield Static("or their own file", classes="label")
            yield ExplainedField(OWN_FILE, "path or org/name", id="own-file")
        yield Static(id="sides", markup=False)

    def on_mount(self) -> None:
        """Show what was answered."""
        self.show(self._split, ())

    def show(self, split: Split, keys: Sequence[str]) -> None:
        """Show how rows with such columns are parted."""
        self._split, self._keys = split, tuple(keys)
        self.query_one("#share", ArrowField).offer([_share(share) for share in self._shares()], _share(split.share))
        for name, value in (("by", split.by), ("stratify", split.stratify)):
            self.query_one(f"#{name}", ArrowField).offer(_with(NO_COLUMN, keys, value), value or NO_COLUMN)
        self.query_one(ExplainedField).show(split.file or "")

    def tell(self, said: Text) -> None:
        """Say how many rows fall on each side."""
        self.query_one("#sides", Static).update(said)

    def _shares(self) -> list[float]:
        return sorted({*SHARES, self._split.share})

    def on_arrow_field_moved(self, message: ArrowField.Moved) -> None:
        """Part by what was moved to."""
        message.stop()
        if message.field.id == "share":
            share = next(share for share in self._shares() if _share(share) == message.value)
            self._change(with_share(self._split, share))
        else:
            column = None if message.value == NO_COLUMN else message.value
            self._change(with_column(self._split, "by" if message.field.id == "by" else "stratify", column))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the rows of another file, or none."""
        event.stop()
        self._change(with_file(self._split, event.value.strip() or None))

    def _change(self, split: Split) -> None:
        """Tell of an answer, and show what it changed of the others."""
        self.show(split, self._keys)
        self.post_message(SplitChanged(split))


class ReadingForm(VerticalScroll, can_focus=False):
    """How the rows are read, where looking isn't enough."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(id="reading")
        self._rows = rows

    def compose(self) -> ComposeResult:
        """Lay out; the values come with `show`."""
        yield Static("How a row is read", classes="title")
        yield ArrowField("format", FORMAT, id="format")
        for column in BY_HAND:
            yield ArrowField(column, COLUMN, id=f"column-{column}")
        with Horizontal(classes="labelled"):
            yield Static("only the first", classes="label")
            yield ExplainedField(LIMIT, "all; or a number", id="limit")

    def on_mount(self) -> None:
        """Show what was answered."""
        self.show(self._rows, ())

    def show(self, rows: Rows, keys: Sequence[str]) -> None:
        """Show how rows with such keys are read."""
        self._rows = rows
        self.query_one("#format", ArrowField).offer(FORMATS, rows.format)
        for column in BY_HAND:
            value = rows.columns.get(column)
            offered = _with(LOOKED_FOR, keys, value)
            self.query_one(f"#column-{column}", ArrowField).offer(offered, value or LOOKED_FOR)
        self.query_one(ExplainedField).show("" if rows.limit is None else str(rows.limit))

    def on_arrow_field_moved(self, message: ArrowField.Moved) -> None:
        """Read as was moved to."""
        message.stop()
        if message.field.id == "format":
            self._change({"format": message.value})
            return
        column = (message.field.id or "").removeprefix("column-")
        columns = {name: key for name, key in self._rows.columns.items() if name != column}
        if message.value != LOOKED_FOR:
            columns[msgspec.convert(column, Column)] = message.value
        self._change({"columns": columns})

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take only so many rows."""
        event.stop()
        try:
            self._change({"limit": rows_limit(event.value)})
        except Refusal as refusal:
            self.notify(refusal.sentence, severity="warning", markup=False)

    def _change(self, fields: Mapping[str, object]) -> None:
        self._rows = msgspec.structs.replace(self._rows, **fields)
        self.post_message(ReadingChanged(self._rows))


def rows_limit(typed: str) -> int | None:
    """Read a number of rows; None: nothing was typed, which means all. Raises: Refusal: it is none."""
    digits = typed.strip().replace(",", "").replace("_", "")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and 1 <= int(digits) <= MOST_ROWS):
        raise Refusal(f"A number of rows is wanted, from 1 to {MOST_ROWS:,}; or nothing, for all of them.")
    return int(digits)


def _share(share: float) -> str:
    return f"{100 * share:.3g} %" if share else "none"


def _with(first: str, keys: Sequence[str], value: str | None) -> list[str]:
    """Put what is chosen among what is offered, even if the rows lack it."""
    return [first, *keys, *([] if value is None or value in keys else [value])]
