"""The dashboard: drawn from a run's folder alone, driven by keys, asking the run for what a person wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from pegbox_methods.events import AnyEvent, Queued, Restarting, Resumed
from pegbox_runs.commands import CommandReader, answer
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, fold
from pegbox_runs.viewing import Advance, follow
from pegbox_tui.app import WatchApp
from pegbox_tui.dashboard import following, screen
from pegbox_tui.dashboard.pages import PAGES
from pegbox_tui.dashboard.screen import DashboardScreen
from pegbox_tui.messages import RunAdvanced
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.explaining import explained
from tests.stories import STORY, started, step
from tests.tui.dashboards import (
    DONE,
    EXPECTED,
    FAILED,
    HOSTILE,
    PAUSED,
    dashboard,
    drawn,
    gpu_run,
    run_of,
    seen,
    text,
    until,
)


@pytest.fixture(autouse=True)
def drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no draw wait for the next."""
    monkeypatch.setattr(screen, "DRAW_SECONDS", 0.0)
    monkeypatch.setattr(screen, "CHART_SECONDS", 0.0)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_leaving_tells_the_run_nothing(key: str) -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press(key)
    assert isinstance(app.return_value, RunState)
    assert app.return_value.status == "running"
    assert folder.commands.read_bytes() == b""


def sent(folder: RunFolder) -> list[str]:
    return [command.command for command in CommandReader(folder.commands).new()]


async def told(pilot: Pilot[Any], folder: RunFolder, names: Sequence[str]) -> None:
    """Wait until these commands lie in the folder, and no others."""
    await until(pilot, lambda: sent(folder) == list(names), f"the commands {names}")


@pytest.mark.parametrize(
    ("asking", "name", "key", "sure"),
    [
        ("s", "stop", "y", True),
        ("s", "stop", "n", False),
        ("a", "abort", "y", True),
        ("a", "abort", "escape", False),
        ("a", "abort", "enter", False),
        ("P", "pause-release", "y", True),
        ("P", "pause-release", "n", False),
    ],
)
async def test_what_cannot_be_undone_is_sent_only_once_confirmed(asking: str, name: str, key: str, sure: bool) -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press(asking)
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press(key)
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
        await told(pilot, folder, [name] if sure else [])


@pytest.mark.parametrize(
    ("key", "more", "name"), [("c", (), "checkpoint"), ("p", (), "pause"), ("p", (PAUSED,), "resume")]
)
async def test_what_can_be_undone_is_sent_at_once(key: str, more: tuple[AnyEvent, ...], name: str) -> None:
    folder = run_of(*STORY, *more)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY) + len(more))
        await pilot.press(key)
        await told(pilot, folder, [name])
        assert text(app, "#asked") == f"{name}: sent, the run hasn't answered yet"


async def test_an_answer_shows_below_the_headline_and_stays_in_the_timeline() -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press("p")
        await told(pilot, folder, ["pause"])
        (command,) = CommandReader(folder.commands).new()
        EventWriter(folder.events).emit(answer(command, f"it pauses {HOSTILE}", taken=True))
        await until(pilot, lambda: text(app, "#asked").startswith("pause: it pauses [red]markup"), "the answer")
        assert app.screen.query_one("#asked").display
        await drawn(pilot, len(STORY) + 1)
        await pilot.press("5")
        await until(pilot, lambda: "pause: it pauses [red]markup" in text(app, "#timeline"), "the timeline")
        assert "\x1b" not in text(app, "#asked") + text(app, "#timeline")


async def test_an_answer_that_does_not_come_is_said_not_to_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "ANSWER_SECONDS", 0.05)
    app = WatchApp(run_of(*STORY))
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press("c")
        await until(pilot, lambda: "no answer yet" in text(app, "#asked"), "word of no answer")


async def test_a_command_that_cannot_be_written_is_told() -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        folder.commands.unlink()
        folder.commands.mkdir()
        await pilot.press("c")
        await until(pilot, lambda: "could not be written" in text(app, "#asked"), "word of the trouble")


async def test_leaving_while_an_answer_is_awaited_takes_no_time() -> None:
    app = WatchApp(run_of(*STORY))
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press("c")
        began = time.monotonic()
        await pilot.press("q")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("key", ["s", "a", "p", "P", "c"])
async def test_a_run_that_is_over_is_asked_for_nothing(key: str) -> None:
    folder = run_of(*STORY, DONE)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY) + 1)
        await pilot.press(key)
        assert isinstance(app.screen, DashboardScreen)
        assert "isn't running" in text(app, "#asked")
    assert folder.commands.read_bytes() == b""


@pytest.mark.parametrize(
    ("more", "headline", "progress"),
    [
        ((PAUSED,), "paused, memory kept", "step 3/10"),
        ((Restarting(attempt=2, why="w", after_seconds=1.0, left=4),), "restarting", "step 3/10"),
        ((Queued(place=2, host="h", supervisor_pid=1, supervisor_mark="m"),), "queued, place 2", "step 3/10"),
        ((started(attempt=2), Resumed(step=2, folder="f", training_seconds=4.0)), "starting · worker 2", "step 2/10"),
        ((FAILED,), "failed", "step 3/10"),
    ],
)
async def test_the_two_lines_on_top_say_what_the_run_is_at(
    more: tuple[AnyEvent, ...], headline: str, progress: str
) -> None:
    app = WatchApp(run_of(*STORY, *more))
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY) + len(more))
        assert text(app, "#headline").strip().startswith(headline)
        assert progress in text(app, "#progress")


async def test_an_end_that_the_log_goes_on_behind_makes_nobody_leave() -> None:
    folder = run_of(*STORY, FAILED, started(attempt=2), Resumed(step=2, folder="f"))
    app = WatchApp(folder, leave_at_end=True)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY) + 3)
        read_in_two = RunAdvanced(fold([*STORY, FAILED], RunState()))
        dashboard(app).on_run_advanced(read_in_two)
        await pilot.pause(0.3)
        assert app.return_value is None
        EventWriter(folder.events).emit(DONE)
        await until(pilot, lambda: app.return_value is not None, "the end")


async def test_while_a_log_is_read_for_the_first_time_only_how_far_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def slowly(folder: RunFolder, left: threading.Event) -> Iterator[Advance]:
        whole = list(follow(folder, left))
        yield whole[-1]._replace(state=fold(STORY[:4], RunState()), share=0.25)
        go_on.wait(10)
        yield from whole

    monkeypatch.setattr(following, "follow", slowly)
    monkeypatch.setattr(following, "READING_SECONDS", 0.0)
    drawings = list[object]()
    monkeypatch.setattr(screen.ChartPanel, "show", lambda _panel, view, **_more: drawings.append(view))
    app = WatchApp(run_of(*gpu_run(12), DONE))
    async with app.run_test() as pilot:
        await until(pilot, lambda: "reading the log, 25 %" in text(app, "#progress"), "how far")
        assert text(app, "#figures") == ""
        assert drawings == []
        go_on.set()
        await until(pilot, lambda: dashboard(app).state.over, "the end")
        await until(pilot, lambda: "step 12/" in text(app, "#progress"), "the steps")
        assert "torch reserved" in text(app, "#figures")
        assert drawings


async def test_new_events_are_drawn_as_they_come() -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        assert "step 3/10" in text(app, "#progress")
        EventWriter(folder.events).emit(step(4))
        await drawn(pilot, len(STORY) + 1)
        assert "step 4/10" in text(app, "#progress")


async def test_it_leaves_by_itself_at_the_end_where_told_so() -> None:
    app = WatchApp(run_of(*STORY, DONE), leave_at_end=True)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.return_value is not None, "the end")
    assert app.return_value is not None
    assert app.return_value.status == "finished"


async def test_each_page_is_reached_by_its_number_and_by_a_click() -> None:
    app = WatchApp(run_of(*gpu_run(12), DONE))
    async with app.run_test() as pilot:
        await until(pilot, lambda: dashboard(app).state.over, "the end")
        for number, page in enumerate(PAGES, start=1):
            await pilot.press(str(number))
            await pilot.pause()
            assert f"[{number} {page.title}]" in seen(app)
            focused = app.focused
            assert focused is not None
            assert focused.id == page.first
            assert focused.region.height > 3
        await pilot.click("#pages", offset=(16, 0))
        await pilot.pause()
        assert "[2 Answers]" in seen(app)


async def test_everything_that_takes_the_focus_explains_itself() -> None:
    app = WatchApp(run_of(*gpu_run(12), DONE))
    titles = set()
    async with app.run_test(size=(200, 60)) as pilot:
        await until(pilot, lambda: dashboard(app).state.over, "the end")
        for number in range(1, len(PAGES) + 1):
            await pilot.press(str(number))
            await pilot.pause()
            for widget in app.screen.focus_chain:
                app.screen.set_focus(widget)
                explanation = explained(app.screen)
                assert explanation is not None, widget
                titles.add(explanation.title)
    assert len(titles) == 10  # the chart and nine panels


async def test_the_palette_offers_pages_curves_and_commands() -> None:
    app = WatchApp(run_of(*STORY, DONE))
    async with app.run_test() as pilot:
        await until(pilot, lambda: dashboard(app).state.over, "the end")
        offered = {title: action for title, _, action in dashboard(app).commands()}
        offered["Page: Memory"]()
        await pilot.pause()
        assert "[3 Memory]" in seen(app)
        assert not {"Stop the run", "Abort the run", "Continue the run"} & set(offered), "it is finished"


async def test_the_palette_offers_what_a_run_that_goes_on_hears() -> None:
    app = WatchApp(run_of(*STORY))
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        offered = {title: action for title, _, action in dashboard(app).commands()}
        assert "Continue the run" not in offered
        offered["Stop the run"]()
        await pilot.pause()
        assert isinstance(app.screen, ConfirmScreen)


async def test_two_viewers_see_the_same() -> None:
    folder = run_of(*gpu_run(12), DONE)
    said = []
    for _ in range(2):
        app = WatchApp(folder)
        async with app.run_test() as pilot:
            await until(pilot, lambda app=app: dashboard(app).state.over, "the end")
            await pilot.pause()
            said.append(text(app, "#figures") + text(app, "#chart"))
    assert said[0] == said[1]
    assert "tokens/s" in said[0]


async def test_a_forecast_that_is_written_after_the_start_is_shown_without_opening_the_run_again() -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        assert dashboard(app)._beside.expected is None
        folder.forecast.write_bytes(msgspec.json.encode(EXPECTED))
        writer = EventWriter(folder.events)
        writer.emit(step(len(STORY)))
        writer.close()
        await until(pilot, lambda: dashboard(app)._beside.expected == EXPECTED, "the forecast")
