"""The list of runs: look, sort, filter, and do something with one of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar, Literal

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.widgets import Input, Static

from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.listing import ListedRun, Listing
from pegbox_runs.printable import printable
from pegbox_runs.removing import holdings, remove_run
from pegbox_runs.run_folder import RunFolder, runs_root
from pegbox_tui.runs_list.asking import Errand, Wish, errand, run_errand, works
from pegbox_tui.runs_list.choice import RunChoice
from pegbox_tui.runs_list.columns import titles
from pegbox_tui.runs_list.keys import KEYS
from pegbox_tui.runs_list.messages import HoldingsCounted, RunAnswered, RunsListed
from pegbox_tui.runs_list.order import SORTED_COLUMN, SORTS, View, shown
from pegbox_tui.runs_list.table import RunsTable
from pegbox_tui.runs_list.words import NONE_SHOWN, NONE_YET, details, explanation, headline, removal_question
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.fields import Field
from pegbox_tui.shell.key_line import KeyLine

LOOK_SECONDS = 3.0
CALM_LOOK_SECONDS = 10.0
READING_SECONDS = 1.0
"""Between two words on a long log that is being read."""
BREATH_SECONDS = 0.005
"""Between two portions of it: keys and drawing have their turn."""


class RunsScreen(Screen[RunChoice | None]):
    """Dismissed with the run that a person takes. Leaving it touches no run."""

    CSS_PATH = "runs_list.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (34, "-tall")]  # noqa: RUF012 - the base class declares it so
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(self, view: View | None = None) -> None:
        super().__init__()
        self._runs: tuple[ListedRun, ...] = ()
        self._whole = False
        self._fault = ""
        self._left = threading.Event()
        self._wake = threading.Event()
        self._said: dict[str, object] = {}
        self.view = view or View()

    def compose(self) -> ComposeResult:
        """Lay out: a headline, the words of the filter, the list, all of the chosen run."""
        yield Static(id="headline", markup=False)
        yield Field(self.view.words, "words that a run's id, state, method, model, rows or note hold", id="filter")
        yield Static(id="titles", markup=False)
        yield RunsTable(self.view.chosen)
        yield Static(id="chosen", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin to look."""
        self.set_class(bool(self.view.words), "-filtering")
        self.query_one(RunsTable).focus()
        self._look()
        self._draw()

    def on_unmount(self) -> None:
        """Let the threads go; Python would wait for them at its exit."""
        self._left.set()
        self._wake.set()

    def on_resize(self) -> None:
        """Choose the columns anew."""
        self.call_after_refresh(self._draw_titles)

    def explanation(self) -> Explanation:
        """Explain the chosen run's state and the columns."""
        return explanation(self.query_one(RunsTable).run)

    def commands(self) -> Iterable[tuple[str, str, Callable[[], None]]]:
        """Offer what can be done here to the command palette."""
        yield "Open the run", "its dashboard, live or with its whole history", self.query_one(RunsTable).action_open
        yield "Repeat the run with changes", "a draft with its settings", self.action_repeat
        yield "Stop the run", "it saves its adapter, and ends", partial(self.action_set_off, "stop")
        yield (
            "Pause the run, or let it go on",
            "also continues one that has ended",
            partial(self.action_set_off, "pause"),
        )
        yield "Delete the run", "with all its files, after asking", self.action_delete
        yield "Filter runs", "by words", self.action_filter
        yield "Sort runs otherwise", "newest, state, loss, method, model", self.action_sort
        yield "Only running runs, or all", "", self.action_only_running

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Name and show only what can be done with the chosen run; the other keys say why they do nothing."""
        if action not in {"set_off", "delete"}:
            return True
        run = next((table.run for table in self.query(RunsTable)), None)
        return run is not None and works(run, str(parameters[0]) if parameters else action)

    @work(thread=True, exclusive=True, group="looking")
    def _look(self) -> None:
        listing = Listing()
        calm = isinstance(self.app, PegboxApp) and self.app.look.calm
        while not self._left.is_set():
            try:
                for look in listing.look():
                    self.post_message(RunsListed(*look))
            except OSError as error:
                fault = f"{runs_root()} can't be read: {error.strerror}. It is tried again every few seconds."
                self.post_message(RunsListed((), fault=fault))
            self._read_on(listing)
            self._wake.wait(CALM_LOOK_SECONDS if calm else LOOK_SECONDS)
            self._wake.clear()

    def _read_on(self, listing: Listing) -> None:
        """Read long logs to their end, and tell how far that is now and then."""
        told = time.monotonic()
        while listing.reading and not self._left.wait(BREATH_SECONDS):
            look = listing.read_on()
            if not listing.reading or time.monotonic() > told + READING_SECONDS:
                told = time.monotonic()
                self.post_message(RunsListed(*look))

    def on_runs_listed(self, message: RunsListed) -> None:
        """Draw what is new in the list."""
        self._runs, self._whole, self._fault = message.runs, message.whole, message.fault
        self._draw()

    def on_runs_table_moved(self) -> None:
        """Show all of the run under the cursor."""
        run = self.query_one(RunsTable).run
        self.view = self.view._replace(chosen=run.id if run else self.view.chosen)
        self.refresh_bindings()  # what can be done depends on the run
        self._draw_chosen()

    def on_runs_table_opened(self, message: RunsTable.Opened) -> None:
        """Leave for the run's dashboard."""
        if message.run.status == "damaged":
            self._tell(f"It can't be opened: {message.run.trouble}.")
        else:
            self.dismiss(RunChoice("open", message.run.folder))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as one types."""
        self._show(self.view._replace(words=event.value))

    def on_input_submitted(self) -> None:
        """Go on in the list."""
        self.action_to_list()

    def action_to_list(self) -> None:
        """Go from the filter to the list; an empty filter goes away."""
        self.set_class(bool(self.view.words), "-filtering")
        self.query_one(RunsTable).focus()

    def action_filter(self) -> None:
        """Open the filter."""
        self.add_class("-filtering")
        self.query_one("#filter", Field).focus()

    def action_sort(self) -> None:
        """Sort by the next thing."""
        self._show(self.view._replace(sort=SORTS[(SORTS.index(self.view.sort) + 1) % len(SORTS)]))

    def action_only_running(self) -> None:
        """Show only runs that go on, or all."""
        self._show(self.view._replace(only_running=not self.view.only_running))

    def action_leave(self) -> None:
        """Empty the filter if there is one, else leave."""
        if self.has_class("-filtering"):
            self.query_one("#filter", Field).value = ""
            self._show(self.view._replace(words=""))
            self.action_to_list()
        else:
            self.dismiss(None)

    def action_repeat(self) -> None:
        """Leave with the run's settings for a draft, if they can be read."""
        run = self.query_one(RunsTable).run
        if run is None:
            return
        try:
            read_recipe(run.folder.recipe)
        except Refusal as refusal:
            self._tell(refusal.sentence)
        else:
            self.dismiss(RunChoice("repeat", run.folder))

    def action_set_off(self, wish: Wish) -> None:
        """Make sure, then stop the run, or pause it, resume it or continue it; or say why that does nothing."""
        run = self.query_one(RunsTable).run
        if run is None:
            return
        found = errand(run, wish)
        if isinstance(found, str):
            self._tell(found)
            return

        def answered(sure: bool | None) -> None:
            if sure:
                self._ask(run.folder, found)

        self.app.push_screen(ConfirmScreen(found.question), answered)

    @work(thread=True, group="asking")
    def _ask(self, folder: RunFolder, what: Errand) -> None:
        answer = run_errand(folder, what, self._left)
        self._wake.set()
        if answer is not None:
            self.post_message(answer)

    def action_say_why(self, key: Literal["stop", "pause", "delete"]) -> None:
        """Say why a key does nothing."""
        self.action_delete() if key == "delete" else self.action_set_off(key)

    def action_delete(self) -> None:
        """Find out what would go, then make sure, then delete."""
        run = self.query_one(RunsTable).run
        if run is None:
            return
        if run.carried:
            self._tell("It is still going on. Stop it first (s), then delete it.")
        else:
            self._count(run.folder)

    @work(thread=True, exclusive=True, group="counting")
    def _count(self, folder: RunFolder) -> None:
        self.post_message(HoldingsCounted(folder, holdings(folder)))

    def on_holdings_counted(self, message: HoldingsCounted) -> None:
        """Make sure that the run shall go."""

        def answered(sure: bool | None) -> None:
            if sure:
                self._remove(message.folder)

        if self.is_current:
            question = removal_question(message.folder.id, message.holdings)
            self.app.push_screen(ConfirmScreen(question, yes="Delete"), answered)

    @work(thread=True, group="removing")
    def _remove(self, folder: RunFolder) -> None:
        try:
            remove_run(folder)
            said = RunAnswered(f"{folder.id} is deleted.")
        except Refusal as refusal:
            said = RunAnswered(refusal.sentence, "warning")
        self._wake.set()
        self.post_message(said)

    def on_run_answered(self, message: RunAnswered) -> None:
        """Show it for a moment."""
        self._tell(message.text, message.severity)

    def _tell(self, text: str, severity: SeverityLevel = "warning") -> None:
        self.notify(printable(text), severity=severity, markup=False)

    def _show(self, view: View) -> None:
        self.view = view
        self._draw()

    def _draw(self) -> None:
        rows = shown(self._runs, self.view)
        self.query_one(RunsTable).show(rows)
        self._put("#headline", headline(self.view, len(rows), len(self._runs), whole=self._whole))
        self._draw_titles()
        self._draw_chosen()

    def _draw_titles(self) -> None:
        self._put("#titles", titles(self.query_one(RunsTable).columns, SORTED_COLUMN[self.view.sort]))

    def _draw_chosen(self) -> None:
        run = self.query_one(RunsTable).run
        if run is not None:
            self._put("#chosen", details(run))
        elif self._whole:
            self._put("#chosen", printable(self._fault) or (NONE_SHOWN if self._runs else NONE_YET))

    def _put(self, name: str, text: Text | str) -> None:
        """Show a text where it is another one; none of them moves anything else."""
        if self._said.get(name) != text:
            self._said[name] = text
            self.query_one(name, Static).update(text, layout=False)
