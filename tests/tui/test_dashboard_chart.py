"""The chart on the dashboard: cursor, zoom, curves and scales by keys and by mouse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.events import MouseScrollDown, MouseScrollUp
from textual.pilot import Pilot

from pegbox_methods.events import Resumed
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_tui.app import WatchApp
from pegbox_tui.dashboard import screen
from pegbox_tui.dashboard.chart.series import METRICS
from pegbox_tui.dashboard.chart.widget import ChartPanel
from pegbox_tui.shell.explaining import explained
from tests.stories import STORY, step
from tests.tui.dashboards import dashboard, drawn, gpu_run, run_of, text, until


@pytest.fixture(autouse=True)
def drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no draw wait for the next."""
    monkeypatch.setattr(screen, "DRAW_SECONDS", 0.0)
    monkeypatch.setattr(screen, "CHART_SECONDS", 0.0)


@asynccontextmanager
async def watched(folder: RunFolder, seq: int) -> AsyncIterator[tuple[WatchApp, Pilot[Any], ChartPanel]]:
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, seq)
        yield app, pilot, app.screen.query_one(ChartPanel)


async def test_the_arrows_move_a_cursor_that_tells_the_values_of_a_step() -> None:
    events = gpu_run()
    async with watched(run_of(*events), len(events)) as (app, pilot, chart):
        await pilot.press("left")
        assert text(app, "#chart").startswith("step 40  loss ")
        assert "smoothed" in text(app, "#chart").splitlines()[0]
        assert "evaluation 1.2713 (step 40, the best)" in text(app, "#chart")
        await pilot.press("left", "left", "right")
        assert chart.cursor == 39
        await pilot.press("escape")
        assert chart.cursor is None
        assert text(app, "#chart").splitlines()[0].lstrip().startswith("⠢⠢ each step")


async def test_zooming_and_moving_by_keys_change_the_steps_that_are_shown() -> None:
    events = gpu_run()
    async with watched(run_of(*events), len(events)) as (_, pilot, chart):
        await pilot.press("plus")
        assert chart.window is not None
        assert chart.window.steps < 40
        assert chart.window.end == 40
        steps = chart.window.steps
        await pilot.press("shift+left")
        assert chart.window.end < 40
        await pilot.press("ctrl+right", "ctrl+right")
        assert chart.window.end == 40
        assert chart.window.steps == steps
        await pilot.press("minus", "minus")
        assert chart.window is None
        await pilot.press("plus", "plus", "0")
        assert chart.window is None


async def test_the_wheel_zooms_where_the_pointer_is_and_a_click_puts_the_cursor_there() -> None:
    events = gpu_run()
    async with watched(run_of(*events), len(events)) as (_, pilot, chart):
        await pilot._post_mouse_events([MouseScrollUp], "#chart", offset=(30, 5))
        assert chart.window is not None
        await pilot._post_mouse_events([MouseScrollDown], "#chart", offset=(30, 5))
        assert chart.window is None
        await pilot.click("#chart", offset=(45, 5))
        assert chart.cursor is not None
        assert 10 < chart.cursor < 30


async def test_g_goes_through_all_curves_and_each_explains_itself() -> None:
    events = gpu_run()
    titles = []
    async with watched(run_of(*events), len(events)) as (app, pilot, chart):
        for metric in METRICS:
            explanation = explained(app.screen)
            assert explanation is not None
            assert explanation.source
            titles.append(explanation.title)
            assert chart.metric == metric
            assert "each step" in text(app, "#chart"), metric
            await pilot.press("g")
        await pilot.press("G")
        assert chart.metric == METRICS[-1]
    assert len(set(titles)) == len(METRICS)


async def test_scale_lines_and_smoothing_are_switched_by_keys_and_said_in_the_title() -> None:
    events = gpu_run()
    async with watched(run_of(*events), len(events)) as (app, pilot, chart):
        assert "smoothed over 5 steps" in chart.border_title
        await pilot.press("l")
        assert "log scale" in chart.border_title
        await pilot.press("w")
        assert "each step" not in text(app, "#chart")
        await pilot.press("w")
        assert "smoothed" not in text(app, "#chart")
        await pilot.press("w", "right_square_bracket")
        assert "smoothed over 10 steps" in chart.border_title
        await pilot.press("left_square_bracket", "left_square_bracket")
        assert "smoothed over 2 steps" in chart.border_title


async def test_it_follows_a_run_that_goes_back() -> None:
    folder = run_of(*STORY)
    async with watched(folder, len(STORY)) as (app, pilot, chart):
        await pilot.press("left")
        assert chart.cursor == 3
        writer = EventWriter(folder.events)
        writer.emit(Resumed(step=2, folder="f"))
        await drawn(pilot, len(STORY) + 1)
        await pilot.press("left", "right", "right")
        assert chart.cursor == 2
        writer.emit(Resumed(step=0, folder=None))
        await drawn(pilot, len(STORY) + 2)
        await until(pilot, lambda: not dashboard(app).state.evaluations, "the beginning")
        assert "each step" not in text(app, "#chart")


async def test_a_curve_without_points_says_so() -> None:
    async with watched(run_of(*STORY[:2]), 2) as (app, pilot, _):
        assert "the model and its tokenizer are loaded" in text(app, "#chart")
        await pilot.press("g", "left", "plus", "minus", "l", "w")
        assert "loaded" in text(app, "#chart")


async def test_the_chart_is_drawn_at_once_where_a_run_went_far_on_and_else_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(screen, "CHART_SECONDS", 1e9)
    events = gpu_run()
    folder = run_of(*events)
    async with watched(folder, len(events)) as (app, pilot, chart):
        writer = EventWriter(folder.events)
        legend = text(app, "#chart").splitlines()[0]
        writer.emit(step(41))
        await drawn(pilot, len(events) + 1)
        assert text(app, "#chart").splitlines()[0] == legend
        for number in range(42, 46):
            writer.emit(step(number))
        await until(pilot, lambda: text(app, "#chart").splitlines()[0] != legend)
        assert chart._drawn_steps >= 44
