"""What the threads of the step do and tell: the examination, the keys of the rows, the memory of each length."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec
from textual.message import Message

from pegbox_methods.recipe import RowSource
from pegbox_methods.refusal import Refusal
from pegbox_runs.drafts import Draft
from pegbox_runs.rows.first_look import keys_of_rows, must_be_fetched
from pegbox_runs.rows.held_out import held_out_rows
from pegbox_tui.rows.browsing import BrowsedRow
from pegbox_tui.rows.examined_rows import ExaminedRows
from pegbox_tui.wizard.rows.length import with_length
from pegbox_tui.wizard.rows.length_table import Price, Prices
from pegbox_tui.wizard.workbench import Workbench


class Ended(Exception):
    """Nobody waits for it any more."""


@dataclass(frozen=True)
class Reading:
    """How far the rows are read, and what came of it."""

    done: float = 0.0
    rows: ExaminedRows | None = None
    keys: tuple[str, ...] = ()
    changed: str = ""
    """Which file is no longer as it was read: a sentence."""
    refusal: str = ""
    unfetched: bool = False
    """They lie on the Hub, and nobody said yet that they shall be fetched."""

    @property
    def over(self) -> bool:
        """Tell whether nothing more comes."""
        return self.rows is not None or bool(self.refusal) or self.unfetched


@dataclass
class RowsRead(Message):
    """The reading moved on. Carries the whole state, so that the newest may replace those still queued."""

    state: Reading
    ended: threading.Event
    """Tells one reading from another."""

    def can_replace(self, message: Message) -> bool:
        """Let a newer state of the same reading stand for this one."""
        return isinstance(message, RowsRead) and message.ended is self.ended


@dataclass
class LengthsPriced(Message):
    """The memory of one more length is known."""

    prices: Prices
    ended: threading.Event

    def can_replace(self, message: Message) -> bool:
        """Let more prices stand for fewer."""
        return isinstance(message, LengthsPriced) and message.ended is self.ended


@dataclass
class FirstRowRead(Message):
    """The first row was turned into tokens."""

    row: BrowsedRow
    ended: threading.Event
    """Of the reading whose row it is."""


def read_rows(
    draft: Draft, bench: Workbench, ended: threading.Event, tell: Callable[[Message], object], *, fetch: bool
) -> None:
    """Examine a draft's rows, unless they'd have to be fetched and nobody said so; tells each state.

    It may outlive the app.
    """

    def post(message: Message) -> None:
        with suppress(RuntimeError):  # the app has ended
            tell(message)

    shown = -1

    def told(done: float) -> None:
        nonlocal shown
        if ended.is_set():
            raise Ended
        if int(100 * done) > shown:  # what is shown, so that a huge file costs no more bytes than a large one
            shown = int(100 * done)
            post(RowsRead(Reading(done), ended))

    if draft.rows is None:
        return
    source = RowSource(**{name: getattr(draft.rows, name) for name in RowSource.__struct_fields__})
    held = held_out_rows(draft.rows, draft.split)
    if not fetch and (must_be_fetched(source) or (held is not None and must_be_fetched(held))):
        post(RowsRead(Reading(unfetched=True), ended))
        return
    try:
        rows = bench.examine(draft, told)
    except Ended:
        return
    except Refusal as refusal:
        post(RowsRead(Reading(refusal=refusal.sentence, keys=_keys(source)), ended))
    except OSError as error:  # a file that vanishes between being found and being read
        sentence = f"{error.filename or source.file}: can't be read: {error.strerror or error}."
        post(RowsRead(Reading(refusal=sentence), ended))
    except Exception as error:  # noqa: BLE001 - a fault of ours costs neither the screen nor the draft
        sentence = f"{source.file}: reading it failed in a way that nobody foresaw: {type(error).__name__}: {error}."
        post(RowsRead(Reading(refusal=sentence), ended))
    else:
        post(RowsRead(Reading(1.0, rows, _keys(source), rows.changed() or ""), ended))


def price_lengths(
    draft: Draft, bench: Workbench, lengths: Sequence[int], ended: threading.Event, post: Callable[[Message], object]
) -> None:
    """Settle a run of each length, shortest first; tells what is known after each."""
    prices = Prices()
    try:
        advised = bench.settled(msgspec.structs.replace(draft, values=with_length(draft.values, None)))
        prices = replace(prices, advised=advised.recipe.training.length, place=advised.advice.place.name)
        for length in lengths:
            if ended.is_set():
                return
            settled = bench.settled(msgspec.structs.replace(draft, values=with_length(draft.values, length)))
            needed = None if settled.memory is None else settled.memory.safe_bytes
            price = Price(needed, settled.margin_bytes, settled.fits)
            prices = replace(prices, of={**prices.of, length: price})
            post(LengthsPriced(prices, ended))
    except Refusal as refusal:
        post(LengthsPriced(replace(prices, unknown=refusal.sentence), ended))


def _keys(source: RowSource) -> tuple[str, ...]:
    try:
        return keys_of_rows(source)
    except (Refusal, OSError):
        return ()
