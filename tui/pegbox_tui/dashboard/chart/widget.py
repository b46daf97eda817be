"""The chart on the screen: what is drawn, from where to where, and the values at the cursor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, cast

from rich.text import Text
from textual import events

from pegbox_tui.chart.canvas import RAW, SMOOTHED
from pegbox_tui.chart.picture import GUTTER, Line, Plot, drawn
from pegbox_tui.chart.smoothing import Smoothed
from pegbox_tui.chart.window import Window
from pegbox_tui.dashboard.chart.captions import at_cursor, legend, title
from pegbox_tui.dashboard.chart.series import LOSS, METRICS, Metric, curve_of
from pegbox_tui.dashboard.explanations import CHART_KEYS, CURVES
from pegbox_tui.dashboard.starting_text import starting_lines
from pegbox_tui.dashboard.view import View
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.sheet import Sheet

AGAIN_SECONDS = 0.05
"""Until the next drawing, where a long curve isn't smoothed to its end yet."""
PARTS = 40
"""Of a run's steps, one such part is smoothed over."""
SPANS = (5, 5000)
"""The least and the most steps that are smoothed over by default."""
GROWN = 1.1
"""Times the steps that were drawn from which a chart is out of date: the legend's figures would be others than those
beside it. A run grows so much a few times in a minute at its beginning, and seldom later."""
PAN = 0.25
PAN_FAR = 1.0

Shown = Literal["both", "raw", "smoothed"]
NEXT_SHOWN: dict[Shown, Shown] = {"both": "smoothed", "smoothed": "raw", "raw": "both"}


class ChartPanel(Sheet):
    """Draws one metric of a view."""

    def __init__(self) -> None:
        super().__init__(id="chart", classes="panel")
        self.metric: Metric = LOSS
        self.shown: Shown = "both"
        self.log_scale = False
        self.window: Window | None = None
        """None: all steps."""
        self.cursor: int | None = None
        """The step that is looked at."""
        self._view: View | None = None
        self._smoothed = Smoothed(SPANS[0])
        self._span: int | None = None
        """What the person chose to smooth over; None: what fits the run's length."""
        self._drawn_at = float("-inf")
        self._drawn_steps = 0
        self.border_title = LOSS.title

    def show(self, view: View, *, every: float) -> None:
        """Take in a view, and draw it if the last drawing is old enough, or the run went back or far on."""
        self._view = view
        same = self._drawn_steps <= view.state.steps_done < self._drawn_steps * GROWN
        if not same or time.monotonic() >= self._drawn_at + every:
            self.draw()

    def draw(self) -> None:
        """Draw what is known, now."""
        view, size = self._view, self.content_size
        if view is None or not self.display or not size:
            return
        self._drawn_at, self._drawn_steps = time.monotonic(), view.state.steps_done
        curve = curve_of(self.metric, view.state)
        evaluations = view.state.evaluations if self.metric is LOSS else ()
        self.border_title = self.metric.title
        if not len(curve) and not evaluations:
            said = starting_lines(view) if not view.state.steps_done else [Text("no such figures in this run", "dim")]
            self.put([Text(""), *(part for line in said for part in self.wrapped(line))])
            return
        if self.window is not None:
            self.window = self.window.now(self.newest)
        plot = self._plot(view)
        ascii_only = cast("PegboxApp[Any]", self.app).look.ascii
        top = (
            legend(self.metric, plot, ascii=ascii_only)
            if self.cursor is None
            else at_cursor(self.metric, plot, self.cursor, self._columns)
        )
        self.border_title = title(self.metric, plot, self.span, zoomed=self.window is not None)
        top.truncate(self.text_width)
        self.put([top, *drawn(plot, self.text_width, size.height - 1, ascii=ascii_only)])

    def _plot(self, view: View) -> Plot:
        curve = curve_of(self.metric, view.state)
        lines: Sequence[Line] = (Line(RAW, curve, thin=self.shown == "both"),)
        if self.shown != "raw":
            if self._smoothed.span != self.span:
                self._smoothed = Smoothed(self.span)
            if not self._smoothed.follow(curve):
                self.set_timer(AGAIN_SECONDS, self.draw)
            smoothed = Line(SMOOTHED, self._smoothed.curve)
            lines = (smoothed,) if self.shown == "smoothed" else (*lines, smoothed)
        loss = self.metric is LOSS
        return Plot(
            lines,
            view.state.evaluations if loss else (),
            view.state.best_evaluation if loss else None,
            self.seen,
            self.log_scale,
            self.metric.unit,
            self.cursor,
        )

    @property
    def newest(self) -> int:
        """The newest step that there is anything of."""
        state = self._view.state if self._view else None
        last = state.evaluations[-1].step if state and state.evaluations else 0
        return max(state.steps_done, last) if state else 0

    @property
    def seen(self) -> Window:
        """The steps that are shown."""
        return self.window or Window.whole(self.newest)

    @property
    def span(self) -> int:
        """How many steps are smoothed over: a choice, else what suits the run's length and never changes in it."""
        if self._span is not None:
            return self._span
        prepared = self._view.state.prepared if self._view else None
        return min(max((prepared.steps if prepared else 0) // PARTS, SPANS[0]), SPANS[1])

    @property
    def _columns(self) -> int:
        return max(self.text_width - GUTTER, 1)

    def do(self, what: str) -> None:
        """Do what a key is for, by its name in `keys.py`."""
        does: dict[str, Callable[[], None]] = {
            "left": partial(self.move_cursor, -1),
            "right": partial(self.move_cursor, 1),
            "no-cursor": partial(self.put_cursor, None),
            "earlier": partial(self.pan, -PAN),
            "later": partial(self.pan, PAN),
            "far-earlier": partial(self.pan, -PAN_FAR),
            "far-later": partial(self.pan, PAN_FAR),
            "closer": partial(self.zoom, closer=True),
            "wider": partial(self.zoom, closer=False),
            "whole": self.whole,
            "next": self.next_metric,
            "before": partial(self.next_metric, -1),
            "log": self.switch_log,
            "lines": self.switch_shown,
            "less-smooth": partial(self.smooth, 0.5),
            "smoother": partial(self.smooth, 2.0),
        }
        does[what]()

    def move_cursor(self, columns: int) -> None:
        """Move the cursor by some columns of cells; it comes up at the newest step."""
        window = self.seen
        if self.cursor is None:
            self.cursor = min(self.newest, window.end)
        else:
            by = max(round(window.steps / self._columns), 1) * columns
            self.cursor = min(max(self.cursor + by, 0), self.newest)
        if not window.begin <= self.cursor <= window.end:
            half = window.steps // 2
            self.window = window.moved((self.cursor - window.begin - half) / window.steps, self.newest)
        self.draw()

    def put_cursor(self, step: int | None) -> None:
        """Put the cursor on a step, or take it away."""
        self.cursor = None if step is None else min(max(step, 0), self.newest)
        self.draw()

    def zoom(self, *, closer: bool, around: int | None = None) -> None:
        """Show fewer or more steps around one: by default the cursor's, else the newest."""
        middle = around if around is not None else self.cursor if self.cursor is not None else self.newest
        self.window = self.seen.zoomed(closer=closer, around=middle, newest=self.newest)
        self.draw()

    def pan(self, share: float) -> None:
        """Show earlier or later steps."""
        if self.window is not None:
            self.window = self.window.moved(share, self.newest)
            self.draw()

    def whole(self) -> None:
        """Show all steps."""
        self.window = None
        self.draw()

    def next_metric(self, by: int = 1) -> None:
        """Draw the next of the metrics."""
        self.choose(METRICS[(METRICS.index(self.metric) + by) % len(METRICS)])

    def choose(self, metric: Metric) -> None:
        """Draw a metric."""
        self.metric = metric
        self._smoothed = Smoothed(self.span)
        self.draw()

    def switch_log(self) -> None:
        """Switch between a plain and a logarithmic scale."""
        self.log_scale = not self.log_scale
        self.draw()

    def switch_shown(self) -> None:
        """Show both lines, the smoothed one alone, the raw one alone."""
        self.shown = NEXT_SHOWN[self.shown]
        self.draw()

    def smooth(self, times: float) -> None:
        """Smooth over more or fewer steps."""
        self._span = min(max(round(self.span * times), 2), 1_000_000)
        self.draw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.draw()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the pointer is."""
        at = event.get_content_offset(self)
        if at is not None and at.x >= GUTTER:
            self.put_cursor(self.seen.step(at.x - GUTTER, self._columns))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in where the pointer is; with shift or ctrl, move along."""
        self._wheel(event, closer=True)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out."""
        self._wheel(event, closer=False)

    def _wheel(self, event: events.MouseEvent, *, closer: bool) -> None:
        event.stop()
        if event.shift or event.ctrl:
            self.pan(-PAN if closer else PAN)
        else:
            at = event.get_content_offset(self)
            column = max(at.x - GUTTER, 0) if at is not None else 0
            self.zoom(closer=closer, around=self.seen.step(column, self._columns))

    def explanation(self) -> Explanation | None:
        """Explain the curve that is drawn, and the keys."""
        found = CURVES[self.metric.name]
        return found._replace(text=found.text + CHART_KEYS)
