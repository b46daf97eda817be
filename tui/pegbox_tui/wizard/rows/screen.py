"""The third step: rows are picked, examined, parted, and cut at a length that costs little."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar

import msgspec
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Static

from pegbox_methods.recipe import Rows, Split
from pegbox_runs.drafts import Draft, StepName
from pegbox_tui.rows.examined_rows import ExaminedRows
from pegbox_tui.rows.screen import RowsScreen
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.rows.allowing import allow_chosen
from pegbox_tui.wizard.rows.explanations import STEP
from pegbox_tui.wizard.rows.forms import ReadingChanged, ReadingForm, SplitChanged, SplitForm
from pegbox_tui.wizard.rows.hub_form import HubScreen
from pegbox_tui.wizard.rows.length import taken_length, with_length
from pegbox_tui.wizard.rows.listing import begin_at
from pegbox_tui.wizard.rows.panes import Detail, FirstRow, LengthPane, LengthTaken, Parts, first_row
from pegbox_tui.wizard.rows.picker import EXAMPLE, HubPicked, PathField, Picked, Picker
from pegbox_tui.wizard.rows.reading import FirstRowRead, LengthsPriced, Reading, RowsRead, price_lengths, read_rows
from pegbox_tui.wizard.rows.splitting import for_others, rows_named
from pegbox_tui.wizard.rows.trial import Trial
from pegbox_tui.wizard.rows.words import head, lacking, sides
from pegbox_tui.wizard.step import StepScreen
from pegbox_tui.wizard.workbench import Workbench

WIDE = 110
PAUSE_SECONDS = 0.6
"""After a change of how rows are read or parted, before they are read again: the next key may change it once more."""


class RowsStep(StepScreen):
    """Holds a reading of the draft's rows; what was read before comes back from the workbench."""

    step: ClassVar[StepName] = "rows"
    CSS_PATH = "rows_step.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - the base class declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "view", "Rows"),
        Binding("a", "allow", "Allow"),
        Binding("f", "other", "Others"),
        Binding("r", "again", "Reread"),
    ]

    def __init__(self, draft: Draft, bench: Workbench) -> None:
        super().__init__(draft, bench)
        self.state = Reading()
        self._trial = Trial()
        self._ended = threading.Event()
        self._later: Timer | None = None

    def compose_step(self) -> ComposeResult:
        """Lay out where rows are picked, and what is known of those that were."""
        yield Static(id="rows-head", markup=False)
        with ContentSwitcher(initial="pick", id="panes"):
            yield Picker(begin_at(None if self.draft.rows is None else self.draft.rows.file))
            with Vertical(id="found"):
                with Horizontal(id="report"):
                    yield Parts()
                    with ContentSwitcher(initial="detail", id="sides-of"):
                        yield Detail()
                        yield LengthPane(taken_length(self.draft))
                        yield SplitForm(self.draft.split)
                        yield ReadingForm(self.draft.rows or Rows(file="-"))
                yield FirstRow()

    def on_mount(self) -> None:
        """Show what was answered before; rows that lie here are examined at once."""
        if self.draft.rows is None:
            self.action_other()
        else:
            self._show_report()
            self._read()

    def on_unmount(self) -> None:
        """Let the threads end."""
        self._ended.set()

    def lacking(self) -> str | None:
        """Say what is to be waited for or mended."""
        return lacking(self.draft.rows, self.state)

    def explanation(self) -> Explanation | None:
        """Explain the step."""
        return STEP

    def commands(self) -> Iterable[tuple[str, str, Callable[[], None]]]:
        """Offer to the palette what the keys do."""
        yield "Rows: view all", "each row as the model sees it, trained tokens marked (v)", self.action_view
        yield "Rows: pick others", "a file, a folder or a data set of the Hub (f)", self.action_other
        yield "Rows: read again", "as the files are now (r)", self.action_again
        yield "Rows: take the examples", "400 bundled questions", partial(self.on_picked, Picked(EXAMPLE.path))

    def answer(self) -> Draft:
        """Give the draft with rows that could be read."""
        return self._trial.answer(self.draft)

    def action_turn(self, to: str) -> None:
        """Go on or back; back from rows that can't be had, or from picking, to those that were picked before."""
        picking = self.query_one("#panes", ContentSwitcher).current == "pick"
        if to == "back" and self._trial.way_back is not None:
            self.draft = self.answer()
            self._trial.end()
            self.tell()
            self._show_anew()
        elif to == "back" and picking and self.draft.rows is not None:
            self._show_report()
        else:
            super().action_turn(to)

    def _read(self, *, fetch: bool = False, pause: float = 0.0) -> None:
        """Begin a reading, after a pause in which more keys may come; one that is under way ends."""
        if self._later is not None:
            self._later.stop()
        self._ended.set()
        self._ended = ended = threading.Event()
        self.state = Reading()
        self._draw()
        if pause:
            self._later = self.set_timer(pause, lambda: self._examine(ended, fetch=fetch))
        else:
            self._examine(ended, fetch=fetch)

    def _examine(self, ended: threading.Event, *, fetch: bool) -> None:
        """Read in a thread that nobody waits for at the end: a data set may come over a slow line for hours."""
        reads = partial(read_rows, self.draft, self.bench, ended, self.post_message, fetch=fetch)
        threading.Thread(target=reads, name="examination", daemon=True).start()

    @work(thread=True, exclusive=True, group="lengths")
    def _price(self, ended: threading.Event, lengths: tuple[int, ...]) -> None:
        price_lengths(self.draft, self.bench, lengths, ended, self.post_message)

    @work(thread=True, exclusive=True, group="row")
    def _read_first(self, ended: threading.Event, rows: ExaminedRows) -> None:
        self.post_message(FirstRowRead(first_row(rows), ended))

    def on_rows_read(self, message: RowsRead) -> None:
        """Draw the newest state of the newest reading."""
        if message.ended is not self._ended or self.draft.rows is None:
            return
        self.state = message.state
        before = self.answer()
        self._trial.read(message.state)
        if self.answer() != before:
            self.tell()
        self._draw()
        if message.state.keys:
            self._fill_forms()
        rows = message.state.rows
        if message.state.refusal or message.state.unfetched:
            self._forget_rows()
        elif rows is not None:
            if rows.report.lengths is not None:
                self._price(message.ended, self.query_one(LengthPane).lengths)
            self._read_first(message.ended, rows)

    def on_lengths_priced(self, message: LengthsPriced) -> None:
        """Show the memory of the lengths so far."""
        if message.ended is self._ended:
            self.query_one(LengthPane).price(message.prices)

    def on_first_row_read(self, message: FirstRowRead) -> None:
        """Show the first row, unless it is of a former reading."""
        if message.ended is self._ended:
            self.query_one(FirstRow).show(message.row)

    def on_picked(self, message: Picked) -> None:
        """Take other rows."""
        self._pick(rows_named(self.draft, message.file))

    def on_hub_picked(self, message: HubPicked) -> None:
        """Ask which part of a data set, and whether to fetch it."""
        asked = HubScreen(rows_named(self.draft, message.name))
        self.app.push_screen(asked, lambda chosen: self._pick(chosen, fetch=True) if chosen else None)

    def _pick(self, rows: Rows, *, fetch: bool = False) -> None:
        """Read rows; what was set for others is no answer for these."""
        if rows == self.draft.rows:
            self._show_report()
            self._read(fetch=fetch)
            return
        answers, dropped = for_others(self.draft, rows)
        self._trial.picked(self.draft, fetch=fetch)
        self.change(**answers)
        if dropped:
            self.notify(dropped, markup=False)
        self._show_anew(fetch=fetch)

    def _show_anew(self, *, fetch: bool = False) -> None:
        """Read other rows than those that are shown."""
        self.state = Reading()
        self.query_one(Parts).clear_options()
        self._fill_forms()
        self._forget_rows()
        self._show_report()
        self._read(fetch=fetch)

    def on_split_changed(self, message: SplitChanged) -> None:
        """Part the rows anew; another share needs no reading."""
        former = self.draft.split
        self.change(split=message.split)
        same = msgspec.structs.replace(former, share=message.split.share) == message.split
        if same and self.state.rows is not None:
            self._part(self.state.rows, message.split)
        elif message.split.file not in (None, former.file):
            self._read(fetch=True)  # the person named it
        else:
            self._read(pause=PAUSE_SECONDS)

    @work(thread=True, exclusive=True, group="parting")
    def _part(self, rows: ExaminedRows, split: Split) -> None:
        parted = rows.parted(split.share)
        if split == self.draft.split:  # else a later key asked for another share, and has a thread of its own
            self.post_message(RowsRead(Reading(1.0, parted, self.state.keys, self.state.changed), self._ended))

    def on_reading_changed(self, message: ReadingChanged) -> None:
        """Read the rows in another way."""
        rows = msgspec.structs.replace(message.rows, allow=self.draft.rows.allow if self.draft.rows else ())
        self.change(rows=rows)
        self._read(pause=PAUSE_SECONDS)

    def on_length_taken(self, message: LengthTaken) -> None:
        """Take a length, or leave it to the advice."""
        self._take(message.length)

    def action_view(self) -> None:
        """Open the rows as the model sees them."""
        rows = self.state.rows
        if rows is None or self.draft.rows is None:
            self.notify("There are no rows to show yet.", severity="warning")
            return
        screen = RowsScreen(self.draft.rows.file, lambda _: rows)
        self.app.push_screen(screen, lambda length: None if length is None else self._take(length))

    def action_other(self) -> None:
        """Pick other rows."""
        self.query_one("#panes", ContentSwitcher).current = "pick"
        self.query_one(PathField).focus()

    def action_allow(self) -> None:
        """Let the chosen finding pass, after a question; or take that back."""
        allow_chosen(self, self._draw)

    def action_again(self) -> None:
        """Read the rows again, as they are now; those of the Hub are fetched if they aren't here."""
        if self.draft.rows is None:
            return
        self.bench.forget("rows")
        self._show_report()
        self._read(fetch=True)

    def _take(self, length: int | None) -> None:
        self.change(values=with_length(self.draft.values, length))
        self.query_one(LengthPane).take(length)

    def _show_report(self) -> None:
        self.query_one("#panes", ContentSwitcher).current = "found"
        self.query_one(Parts).focus()

    def _fill_forms(self) -> None:
        """Show in the forms what the draft says now, and which keys the rows have."""
        self.query_one(SplitForm).show(self.draft.split, self.state.keys)
        if self.draft.rows is not None:
            self.query_one(ReadingForm).show(self.draft.rows, self.state.keys)

    def _forget_rows(self) -> None:
        """Show nothing more of rows that are no longer what is read."""
        self.query_one(FirstRow).clear()
        self.query_one(LengthPane).take(taken_length(self.draft))
        self.query_one(SplitForm).tell(Text())

    def _draw(self) -> None:
        rows, state = self.draft.rows, self.state
        if rows is None:
            return
        self.query_one("#rows-head", Static).update(head(rows, state))
        parts = self.query_one(Parts)
        if state.over or not state.done:  # the parts are the same at each percent
            model = self.draft.model.name if self.draft.model else None
            parts.fill(state, rows, model, self._trial.way_back)
        if state.rows is not None:
            report = state.rows.report
            self.query_one(LengthPane).fill(report.lengths)
            told = Text("Too few rows to part.") if report.split is None else sides(report.split)
            self.query_one(SplitForm).tell(told)
