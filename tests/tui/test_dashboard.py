"""The dashboard: drawn from a run's folder alone, at two sizes, and driven by keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from pegbox_methods.events import AnyEvent, Failed, Finished, Notice, Sample
from pegbox_runs.commands import CommandReader
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_tui.app import WatchApp
from pegbox_tui.dashboard.confirm import ConfirmScreen
from pegbox_tui.dashboard.loss_chart import highest_of_each
from pegbox_tui.dashboard.screen import DashboardScreen
from tests.stories import STORY, made, step

DONE = Finished(reason="completed", steps=10, kept_step=3, adapter="adapter", seconds=61.0)
HOSTILE = "[red]markup[/red] [@click=app.quit]x[/] \x1b[31mescape\x1b[0m"


def run_of(*events: AnyEvent) -> RunFolder:
    """Put events into a run's folder of a fixed name."""
    folder = made()
    folder = RunFolder(folder.path.rename(folder.path.with_name("20260101-000000-lora-abcd")))
    writer = EventWriter(folder.events)
    for event in events:
        writer.emit(event)
    folder.summary.write_text("{}")
    return folder


def dashboard(app: WatchApp) -> DashboardScreen:
    screen = app.screen_stack[-1]
    assert isinstance(screen, DashboardScreen)
    return screen


async def drawn(pilot: Pilot[Any], seq: int) -> None:
    """Wait until the dashboard shows the event of that number."""
    for _ in range(500):
        screen = pilot.app.screen
        if isinstance(screen, DashboardScreen) and screen.state.last_seq >= seq:
            await pilot.pause()
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the dashboard never caught up")


def text(app: WatchApp, name: str) -> str:
    return str(app.screen.query_one(name, Static).render())


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("waiting", None),
        ("running", ()),
        ("finished", (Notice(text="3 rows are longer than training.length."), DONE)),
        ("failed", (Failed(what="the device ran out of memory", where="training at step 3", remedy="Lower it."),)),
    ],
)
def test_how_it_looks(snap_compare: Any, size: tuple[int, int], name: str, more: tuple[AnyEvent, ...] | None) -> None:
    events = STORY[:1] if more is None else [*STORY, *(step(i) for i in range(4, 8)), *more]

    async def caught_up(pilot: Pilot[Any]) -> None:
        await drawn(pilot, len(events))

    assert snap_compare(WatchApp(run_of(*events)), terminal_size=size, run_before=caught_up)


async def test_q_leaves_and_the_run_is_told_nothing() -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press("q")
    assert isinstance(app.return_value, RunState)
    assert app.return_value.status == "running"
    assert folder.commands.read_bytes() == b""


async def test_control_c_leaves_too() -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press("ctrl+c")
    assert app.return_value is not None
    assert folder.commands.read_bytes() == b""


@pytest.mark.parametrize(("key", "sent"), [("y", ["stop"]), ("n", []), ("escape", []), ("enter", [])])
async def test_stop_is_sent_only_once_confirmed(key: str, sent: list[str]) -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press("s")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press(key)
        await pilot.pause()
        assert isinstance(app.screen, DashboardScreen)
    assert [command.command for command in CommandReader(folder.commands).new()] == sent


async def test_a_run_that_is_over_is_not_asked_to_stop() -> None:
    folder = run_of(*STORY, DONE)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY) + 1)
        await pilot.press("s")
        assert isinstance(app.screen, DashboardScreen)
    assert folder.commands.read_bytes() == b""


async def test_new_events_are_drawn_as_they_come() -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        assert "step 3/10" in text(app, "#headline")
        EventWriter(folder.events).emit(step(4))
        await drawn(pilot, len(STORY) + 1)
        assert "step 4/10" in text(app, "#headline")


async def test_it_leaves_by_itself_at_the_end_where_told_so() -> None:
    app = WatchApp(run_of(*STORY, DONE), leave_at_end=True)
    async with app.run_test() as pilot:
        for _ in range(500):
            if app.return_value is not None:
                break
            await pilot.pause(0.01)
    assert app.return_value is not None
    assert app.return_value.status == "finished"


async def test_text_from_outside_is_shown_and_never_acts() -> None:
    sample = Sample(step=0, index=0, question=HOSTILE, answer=HOSTILE, expected="")
    folder = run_of(*STORY, sample, Notice(text=HOSTILE))
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY) + 2)
        said = text(app, "#remarks")
    assert said.count("[red]markup[/red] [@click=app.quit]x[/]") == 3
    assert "\x1b" not in said
    assert r"\x1b[31mescape" in said


async def test_a_folder_that_disappears_leaves_the_last_state_on_the_screen(home: Path) -> None:
    import shutil

    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        shutil.rmtree(folder.path)
        await pilot.pause(0.5)
        assert "step 3/10" in text(app, "#headline")


def test_a_long_curve_is_thinned_with_its_peaks_kept() -> None:
    values = [1.0] * 10_000
    values[1234] = 9.0
    thinned = highest_of_each(values, 400)
    assert len(thinned) == 400
    assert max(thinned) == 9.0
    assert highest_of_each([3.0, 1.0], 400) == [3.0, 1.0]
