"""The arena: how a comparison goes, from its folder, whoever else is looking."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.timer import Timer

from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.watching.watch import Watched
from pegbox_tui.arena.asking import continued, stopped
from pegbox_tui.arena.board import BoardPane, HeadLines
from pegbox_tui.arena.explanations import ARENA
from pegbox_tui.arena.following import keep_telling
from pegbox_tui.arena.keys import CONTINUE, KEYS, PAGES, STOP, can_continue, can_stop, why_not
from pegbox_tui.arena.messages import ComparisonAdvanced, ComparisonAnswered, ComparisonUnreadable
from pegbox_tui.arena.panes import CardPane, CurvesPane, NotePane, Pane, PlanePane, VerdictPane
from pegbox_tui.arena.plane_text import TITLES
from pegbox_tui.arena.rows import IN_WORDS, rows_of
from pegbox_tui.arena.view import COSTS, SORTS, EntryChoice, Scene, View, behind, entry_to_open, next_seed, standing_of
from pegbox_tui.arena.words import headline, progress
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.choice_line import ChoiceLine, numbered_pages
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.key_line import KeyLine
from pegbox_tui.shell.said_line import SaidLine
from pegbox_tui.shell.sheet import OneLine

DRAW_SECONDS = 1.0
"""Between two drawings while entries run: steps come faster than a person reads."""
CALM_SECONDS = 5.0
MOST_ZOOM = 4
"""How long an answer stays below the progress."""

now = time.time


class ArenaScreen(Screen[EntryChoice | None]):
    """Draws one moment at a time. Dismissed with an entry that shall be opened, or None. Leaving it stops nothing."""

    CSS_PATH = "arena.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (170, "-huge")]  # noqa: RUF012 - as the base class
    VERTICAL_BREAKPOINTS = [(0, "-low"), (34, "-tall")]  # noqa: RUF012 - as the base class
    BINDINGS: ClassVar[list[BindingType]] = KEYS
    AUTO_FOCUS = ""

    def __init__(
        self,
        folder: ComparisonFolder,
        *,
        leave_at_end: bool = False,
        back: bool = False,
        view: View | None = None,
        watched: Watched | None = None,
    ) -> None:
        """Show the comparison in a folder. `back`: whether Escape leaves too; `watched`: what was shown before."""
        super().__init__()
        self._folder = folder
        self._leave_at_end = leave_at_end
        self._back = back
        self.went_back = False
        """Whether it was left by Escape."""
        self._left = threading.Event()
        self._drawn_at = float("-inf")
        self._later: Timer | None = None
        self.view = view or View()
        self.watched = watched or Watched(id=folder.id)
        self.add_class(f"-page-{PAGES[self.view.page][0]}")

    def compose(self) -> ComposeResult:
        """Lay out: headline, progress, the pages' names, what was answered, then all panes; the page tells which."""
        yield OneLine("headline")
        yield OneLine("progress")
        yield ChoiceLine("pages")
        yield SaidLine("asked")
        with Vertical(id="body"):
            with Vertical(id="ranking"):
                yield HeadLines()
                yield BoardPane()
                yield NotePane()
            with Vertical(id="lower"):
                with Vertical(id="pictures"):
                    yield CurvesPane()
                    yield PlanePane()
                yield CardPane()
                yield VerdictPane()
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin to follow."""
        self._to_page(self.view.page)
        self.call_after_refresh(self._follow)

    @work(thread=True, group="following")
    def _follow(self) -> None:
        keep_telling(self._folder, self._left, self.post_message, self.watched)

    def on_unmount(self) -> None:
        """Let the threads go; Python would wait for them at its exit."""
        self._left.set()

    def on_comparison_advanced(self, message: ComparisonAdvanced) -> None:
        """Draw the newest moment."""
        before, self.watched = self.watched, message.watched
        moved_on = standing_of(before) != standing_of(self.watched)
        wait = self._drawn_at + (CALM_SECONDS if self._calm else DRAW_SECONDS) - time.monotonic()
        if moved_on or message.last or wait <= 0:
            self._draw()
        elif self._later is None:
            self._later = self.set_timer(wait, self._draw)
        if message.last and self._leave_at_end:
            self.dismiss(None)

    @property
    def _calm(self) -> bool:
        return cast("PegboxApp[Any]", self.app).look.calm

    def on_comparison_unreadable(self, message: ComparisonUnreadable) -> None:
        """Say why nothing new comes; what is drawn stays."""
        self._say(f"the comparison can't be read: {message.why}; tried again every few seconds")

    def on_comparison_answered(self, message: ComparisonAnswered) -> None:
        """Show it for a moment."""
        self._say(message.text)

    def on_board_pane_chosen(self, message: BoardPane.Chosen) -> None:
        """Choose the line that was clicked, open it where it was clicked twice."""
        self._show(self.view._replace(chosen=message.name))
        if message.opened:
            self.action_open()

    def on_head_lines_sort_asked(self, message: HeadLines.SortAsked) -> None:
        """Sort."""
        self._show(self.view._replace(sort=message.sort))

    def on_note_pane_asked(self) -> None:
        """Show all of the verdict."""
        self.action_page(len(PAGES) - 1)

    def action_leave(self) -> None:
        """Close the view; the comparison doesn't notice."""
        self.dismiss(None)

    def action_back(self) -> None:
        """Go back to where it was opened from."""
        self.went_back = True
        self.dismiss(None)

    def action_page(self, number: int) -> None:
        """Show a page, counted from 0."""
        if number != self.view.page:
            self.remove_class(f"-page-{PAGES[self.view.page][0]}", update=False)
            self.add_class(f"-page-{PAGES[number][0]}")
        self._to_page(number)

    def _to_page(self, number: int) -> None:
        self.view = self.view._replace(page=number)
        self.query_one("#pages", ChoiceLine).offer(numbered_pages([title for _, title in PAGES], number))
        self.query_one(f"#{PAGES[number][0]}").focus(scroll_visible=False)
        self._draw()

    def action_next_pane(self, by: int) -> None:
        """Take the keys to the next pane that is seen; where only one is, show the next page."""
        seen = [pane for pane in self.query(Pane) if pane.focusable and pane.content_size]
        if len(seen) < 2:
            self.action_page((self.view.page + by) % len(PAGES))
        else:
            at = next((number for number, pane in enumerate(seen) if pane.has_focus), -by)
            seen[(at + by) % len(seen)].focus(scroll_visible=False)

    def action_choose(self, by: int) -> None:
        """Choose a contestant further down the list, or up."""
        names = [row.name for row in rows_of(self.watched, self.view.sort)]
        if names:
            at = names.index(self.view.chosen) if self.view.chosen in names else 0
            self._show(self.view._replace(chosen=names[min(max(0, at + by), len(names) - 1)]))

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._show(self.view._replace(sort=behind(self.view.sort, SORTS)))

    def action_cost(self) -> None:
        """Hold the loss against the next cost."""
        self._show(self.view._replace(cost=behind(self.view.cost, COSTS)))

    def action_seed(self, by: int) -> None:
        """Look at the next seed alone; behind the last one at all of them."""
        seeds = len(self.watched.comparison.seeds) if self.watched.comparison else 0
        self._show(self.view._replace(seed=next_seed(self.view.seed, by, seeds)))

    def action_zoom(self) -> None:
        """Show only the later half of the curves, a quarter, and so on; then all."""
        self._show(self.view._replace(zoom=(self.view.zoom + 1) % (MOST_ZOOM + 1)))

    def action_open(self) -> None:
        """Take the entry of the chosen contestant that is looked at."""
        scene = self._scene()
        entry = None if scene.chosen is None else entry_to_open(scene.chosen, scene.seed)
        if entry is None:
            self._say("nothing of it was begun yet" if scene.chosen else "nobody is chosen")
        else:
            self.dismiss(EntryChoice(self._folder.entry(entry.entry.id)))

    def action_stop(self) -> None:
        """Make sure, then ask the comparison to stop."""
        self.app.push_screen(ConfirmScreen(STOP), lambda sure: self._stop() if sure else None)

    def action_continue(self) -> None:
        """Make sure, then let a comparison that ended before its time go on."""
        self.app.push_screen(ConfirmScreen(CONTINUE), lambda sure: self._continue() if sure else None)

    def action_not_here(self) -> None:
        """Say why a key does nothing."""
        self._say(why_not(self.watched))

    def _stop(self) -> None:
        self._say("stop: sent, the comparison hasn't answered yet", stay=True)
        self._await(partial(stopped, self._folder, self._left))

    def _continue(self) -> None:
        self._say("continue: a director is started on the comparison", stay=True)
        self._await(partial(continued, self._folder))

    @work(thread=True, group="asking")
    def _await(self, errand: Callable[[], str | None]) -> None:
        said = errand()
        if said is not None:
            self.post_message(ComparisonAnswered(said))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - as the base class
        """Let only those keys work, and be listed, that do something now."""
        if action == "stop":
            return can_stop(self.watched)
        if action == "continue":
            return can_continue(self.watched)
        return self._back if action == "back" else True

    def commands(self) -> Iterable[tuple[str, str, Callable[[], None]]]:
        """Offer what the keys do to the palette."""
        for number, (_, title) in enumerate(PAGES):
            yield f"Page: {title}", f"key {number + 1}", partial(self.action_page, number)
        for sort in SORTS:
            shown = self.view._replace(sort=sort)
            yield f"Sort: {IN_WORDS[sort]}", "the leaderboard (s)", partial(self._show, shown)
        for cost in COSTS:
            shown = self.view._replace(cost=cost)
            yield f"Costs: loss and {TITLES[cost]}", "who is beaten by nobody (x)", partial(self._show, shown)
        yield "Open the training", "its dashboard: the one that runs, or of the chosen seed (Enter)", self.action_open
        if can_stop(self.watched):
            yield "Stop the comparison", "it can go on later (!)", self.action_stop
        if can_continue(self.watched):
            yield "Continue the comparison", "with all that is left (c)", self.action_continue

    def explanation(self) -> Explanation:
        """Explain the arena as a whole."""
        return ARENA

    def _show(self, view: View) -> None:
        self.view = view
        self._draw()

    def _say(self, text: str, *, stay: bool = False) -> None:
        """Show a line below the progress; it may hold anything."""
        self.query_one(SaidLine).tell(text, stay=stay)

    def _scene(self) -> Scene:
        if self.view.chosen not in {one.name for one in self.watched.contestants}:
            rows = rows_of(self.watched, self.view.sort)
            self.view = self.view._replace(chosen=rows[0].name if rows else None)
        return Scene(self.watched, self.view, now(), self._folder.path)

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        if self._later is not None:
            self._later.stop()
            self._later = None
        scene = self._scene()
        self.query_one("#headline", OneLine).say(headline(self.watched))
        line = self.query_one("#progress", OneLine)
        line.say(progress(self.watched, line.text_width, scene.now))
        for pane in self.query(Pane):
            pane.show(scene)
        self.refresh_bindings()  # what can be asked of it may be something else now
