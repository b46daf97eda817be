"""The dashboard: what a run is doing, from its folder, whoever else is looking."""

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

from pegbox_runs.asking import ask
from pegbox_runs.commands import CommandName
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_tui.dashboard.chart.series import METRICS
from pegbox_tui.dashboard.chart.widget import ChartPanel
from pegbox_tui.dashboard.continuing import continued
from pegbox_tui.dashboard.explanations import DASHBOARD
from pegbox_tui.dashboard.following import keep_telling
from pegbox_tui.dashboard.keys import ABORT, ASKING, KEYS, RELEASE, STOP, continue_question, why_not, working
from pegbox_tui.dashboard.log_panel import LogPanel
from pegbox_tui.dashboard.pages import PAGES, key_choices, page_choices
from pegbox_tui.dashboard.panels import (
    AdvicePanel,
    AnswersPanel,
    ChecksPanel,
    EvaluationsPanel,
    FiguresPanel,
    MemoryPanel,
    NewsPanel,
    Panel,
    RanksPanel,
    TimelinePanel,
)
from pegbox_tui.dashboard.view import Beside, View
from pegbox_tui.dashboard.words import headline, progress, reading
from pegbox_tui.messages import BesideRead, CommandAnswered, RunAdvanced, RunUnreadable
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.choice_line import ChoiceLine
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.said_line import SaidLine
from pegbox_tui.shell.sheet import OneLine

DRAW_SECONDS = 1.5
"""Steps may come faster than a person reads: drawing each would take some percent of a core, on the run's machine."""
CALM_SECONDS = 5.0
CHART_SECONDS = 5.0
CALM_CHART_SECONDS = 20.0
"""Between two drawings of the chart: it is most of what is written, and changes little."""
TICK_SECONDS = 1.0
"""Between two looks at the clock, for what is said of times where nothing is told by the run."""
ANSWER_SECONDS = 60.0
"""How long a command is looked after: sent again where another was written over it."""
"""How long an answer stays below the headline; it is among what happened for good."""

now = time.time


class DashboardScreen(Screen[RunState]):
    """Draws one RunState at a time. Dismissed with the last one."""

    CSS_PATH = "dashboard.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (170, "-huge")]  # noqa: RUF012 - as the base class
    VERTICAL_BREAKPOINTS = [(0, "-low"), (34, "-tall")]  # noqa: RUF012 - as the base class
    BINDINGS: ClassVar[list[BindingType]] = KEYS
    AUTO_FOCUS = "#chart"

    def __init__(self, folder: RunFolder, *, leave_at_end: bool = False, back: bool = False) -> None:
        """Show the run in a folder. `back`: whether leaving leads back to where it was opened; Escape does so too."""
        super().__init__(classes="-page-overview")
        self._back = back
        self._folder = folder
        self._leave_at_end = leave_at_end
        self._left = threading.Event()
        self._drawn_at = 0.0
        self._later: Timer | None = None
        self._page = 0
        self._read = 0.0
        """Share of the log that was there when it was opened."""
        self._beside = Beside()
        self.state = RunState()

    def compose(self) -> ComposeResult:
        """Lay out: headline, progress, the pages' names, what was answered, then all panels; the page tells which."""
        yield OneLine("headline")
        yield OneLine("progress")
        yield ChoiceLine("pages")
        yield SaidLine("asked")
        with Vertical(id="body"):
            with Vertical(id="main"):
                yield ChartPanel()
                yield NewsPanel()
                yield AdvicePanel()
                yield ChecksPanel()
                yield TimelinePanel()
            with Vertical(id="side"):
                yield FiguresPanel()
                yield MemoryPanel()
                yield EvaluationsPanel()
            with Vertical(id="more"):
                yield AnswersPanel()
                yield RanksPanel()
                yield LogPanel(self._folder)
        yield ChoiceLine("keys")

    def on_mount(self) -> None:
        """Begin to follow."""
        self.query_one("#pages", ChoiceLine).offer(page_choices(self._page))
        self._draw()
        self.call_after_refresh(self._follow)
        self.set_interval(TICK_SECONDS, self._tick)

    @work(thread=True, group="following")
    def _follow(self) -> None:
        keep_telling(self._folder, self._left, self.post_message)

    def on_unmount(self) -> None:
        """Let the threads go; Python would wait for them at its exit."""
        self._left.set()

    def on_beside_read(self, message: BesideRead) -> None:
        """Draw with the forecast and the recipe."""
        self._beside = message.beside
        self._draw()

    def on_run_advanced(self, message: RunAdvanced) -> None:
        """Draw the newest state."""
        before, self.state = self.state, message.state
        first, self._read = self._read < 1.0, message.share
        moved_on = first or (message.state.status, message.state.phase) != (before.status, before.phase)
        wait = self._drawn_at + (CALM_SECONDS if self._calm else DRAW_SECONDS) - time.monotonic()
        if moved_on or message.last or wait <= 0:
            self._draw(chart_now=message.last or first or before.status != message.state.status)
        elif self._later is None:
            self._later = self.set_timer(wait, self._draw)
        if self._leave_at_end and message.last:
            self.dismiss(self.state)

    @property
    def _calm(self) -> bool:
        return cast("PegboxApp[Any]", self.app).look.calm

    def _tick(self) -> None:
        """Look at the clock while a run tells nothing."""
        if not self.state.over and time.monotonic() >= self._drawn_at + (CALM_SECONDS if self._calm else DRAW_SECONDS):
            self._draw()
        self.query_one(LogPanel).look()

    def action_leave(self) -> None:
        """Close the view; the run doesn't notice."""
        self.dismiss(self.state)

    def action_page(self, number: int) -> None:
        """Show a page, counted from 0."""
        if number != self._page:  # one styling for both: each looks at all that is on the screen
            self.remove_class(f"-page-{PAGES[self._page].name}", update=False)
            self.add_class(f"-page-{PAGES[number].name}")
        self._page = number
        self.query_one("#pages", ChoiceLine).offer(page_choices(number))
        self.query_one(f"#{PAGES[number].first}").focus(scroll_visible=False)
        self._draw()

    def action_chart(self, what: str) -> None:
        """Change what the chart shows."""
        self.query_one(ChartPanel).do(what)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let only those keys work, and be listed, that do something now."""
        if action in ASKING:
            return action in working(self.state)
        if action == "chart" and parameters == ("no-cursor",):
            return any(chart.cursor is not None for chart in self.query(ChartPanel))
        return self._back if action == "back" else True

    def action_not_here(self) -> None:
        """Say why a key does nothing."""
        self._say(why_not(self.state))

    def action_back(self) -> None:
        """Leave as `q` does."""
        self.action_leave()

    def action_continue(self) -> None:
        """Make sure, then continue a run that is over."""
        self.app.push_screen(
            ConfirmScreen(continue_question(self.state)), lambda sure: self._continue() if sure else None
        )

    def action_pause(self) -> None:
        """Pause the run, or let a paused one go on."""
        self._ask("resume" if self.state.status == "paused" else "pause")

    def action_release(self) -> None:
        """Make sure, then pause the run without its memory."""
        self._make_sure(RELEASE, "pause-release")

    def action_checkpoint(self) -> None:
        """Ask for a checkpoint now."""
        self._ask("checkpoint")

    def action_stop(self) -> None:
        """Make sure, then ask the run to stop."""
        self._make_sure(STOP, "stop")

    def action_abort(self) -> None:
        """Make sure, then ask the run to end at once."""
        self._make_sure(ABORT, "abort")

    def commands(self) -> Iterable[tuple[str, str, Callable[[], None]]]:
        """Offer what the keys do to the palette."""
        chart = self.query_one(ChartPanel)
        for number, page in enumerate(PAGES):
            yield f"Page: {page.title}", f"key {number + 1}", partial(self.action_page, number)
        for metric in METRICS:
            yield f"Chart: {metric.title}", "draws it over the steps", partial(chart.choose, metric)
        works = working(self.state)
        for name, (title, meaning) in ASKING.items():
            if name in works:
                yield title, meaning, getattr(self, f"action_{name}")

    def explanation(self) -> Explanation | None:
        """Explain the dashboard as a whole."""
        return DASHBOARD

    def _make_sure(self, question: str, name: CommandName) -> None:
        self.app.push_screen(ConfirmScreen(question), lambda sure: self._ask(name) if sure else None)

    def _continue(self) -> None:
        self._say("continue: a supervisor is started on the run", stay=True)
        self._await_continued()

    @work(thread=True, exclusive=True, group="continuing")
    def _await_continued(self) -> None:
        self.post_message(CommandAnswered(continued(self._folder)))

    def _ask(self, name: CommandName) -> None:
        self._say(f"{name}: sent, the run hasn't answered yet", stay=True)
        self._await(name)

    @work(thread=True, group="asking")
    def _await(self, name: CommandName) -> None:
        """Send a command, and again until it is answered; the answer is seen among what was said."""
        try:
            answer = ask(self._folder, name, ANSWER_SECONDS, self._left)
        except OSError as error:
            self.post_message(CommandAnswered(f"{name}: the command could not be written: {error.strerror}"))
            return
        if answer is not None:
            self.post_message(CommandAnswered(f"{name}{'' if answer.taken else ' refused'}: {answer.text}"))
        elif not self._left.is_set():
            self.post_message(CommandAnswered(f"{name}: no answer yet; the run reads it when it can"))

    def on_command_answered(self, message: CommandAnswered) -> None:
        """Show it for a moment; it stays among what was said."""
        self._say(message.text)

    def on_run_unreadable(self, message: RunUnreadable) -> None:
        """Say why nothing new comes; what is drawn stays."""
        self._say(f"the run can't be read: {message.why}; tried again every few seconds")

    def _say(self, text: str, *, stay: bool = False) -> None:
        """Show a line below the headline; it may hold anything."""
        self.query_one(SaidLine).tell(text, stay=stay)

    def _draw(self, *, chart_now: bool = False) -> None:
        self._drawn_at = time.monotonic()
        if self._later is not None:
            self._later.stop()
            self._later = None
        view = View(self._folder.id, self.state, now(), self._beside.expected, self._beside.recipe)
        top = self.query_one("#headline", OneLine)
        top.say(headline(view, top.text_width))
        done = self.query_one("#progress", OneLine)
        done.say(progress(view, done.text_width) if self._read == 1.0 else reading(self._read))
        self.query_one("#keys", ChoiceLine).offer(
            key_choices(self.state, back=self._back, runs=hasattr(self.app, "action_runs"))
        )
        if self._read < 1.0:  # the thread that reads needs the processor more
            return
        every = 0.0 if chart_now else CALM_CHART_SECONDS if self._calm else CHART_SECONDS
        self.query_one(ChartPanel).show(view, every=every)
        for panel in self.query(Panel):
            panel.show(view)
