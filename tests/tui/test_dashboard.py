"""The dashboard: drawn from a run's folder alone, at two sizes, and driven by keys."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Sparkline, Static

from pegbox_methods.events import (
    AnyEvent,
    Change,
    Check,
    Checkpoint,
    CommandAnswer,
    Failed,
    Finished,
    Inspected,
    Notice,
    Paused,
    Phase,
    Queued,
    Replanned,
    Restarting,
    Resumed,
    Sample,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_runs.commands import CommandReader, answer
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, fold
from pegbox_tui.app import WatchApp
from pegbox_tui.dashboard import loss_chart, screen
from pegbox_tui.dashboard.confirm import ConfirmScreen
from pegbox_tui.dashboard.loss_chart import highest_of_each
from pegbox_tui.dashboard.screen import DashboardScreen
from pegbox_tui.messages import RunAdvanced
from tests.stories import STORY, made, started, step

DONE = Finished(reason="completed", steps=10, kept_step=3, adapter="adapter", seconds=61.0)
PAUSED = Paused(step=7, memory="kept")
EVENTFUL: tuple[AnyEvent, ...] = (
    Checkpoint(step=6, folder="checkpoints/checkpoint-6"),
    WorkerFailed(
        kind="device-memory",
        what="the device ran out of memory",
        where="training at step 7",
        remedy="Lower it.",
        doing="forward and backward of 8 rows of 512 positions",
    ),
    WorkerEnded(attempt=1, exit_code=1, signal=None),
    Replanned(
        step=7,
        why="memory",
        changes=(Change(key="training.micro_batch", before=8, after=4),),
        text="4 rows at once in place of 8, twice as many times; the effective batch stays 16",
    ),
    Restarting(attempt=2, why="the device ran out of memory", after_seconds=1.0, left=4),
    started(attempt=2),
    Resumed(step=6, folder="checkpoints/checkpoint-6", tokens=42, training_seconds=12.0),
    Phase(phase="training"),
    step(7),
    Inspected(step=7, checks=(Check(name="gradients", verdict="passed", text="all"),), seconds=0.1),
    step(8),
)
HOSTILE = "[red]markup[/red] [@click=app.quit]x[/] \x1b[31mescape\x1b[0m"


@pytest.fixture(autouse=True)
def drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no draw wait for the next."""
    monkeypatch.setattr(screen, "DRAW_SECONDS", 0.0)
    monkeypatch.setattr(loss_chart, "BARS_SECONDS", 0.0)


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
    shown = app.screen_stack[-1]
    assert isinstance(shown, DashboardScreen)
    return shown


async def drawn(pilot: Pilot[Any], seq: int) -> None:
    """Wait until the dashboard shows the event of that number."""
    for _ in range(500):
        shown = pilot.app.screen
        if isinstance(shown, DashboardScreen) and shown.state.last_seq >= seq:
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
        ("eventful", EVENTFUL),
        ("paused", (CommandAnswer(command="pause", id="a", taken=True, text="it pauses", latency=0.1), PAUSED)),
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


def sent(folder: RunFolder) -> list[str]:
    return [command.command for command in CommandReader(folder.commands).new()]


async def told(pilot: Pilot[Any], folder: RunFolder, names: list[str]) -> None:
    """Wait until these commands lie in the folder, and no others."""
    for _ in range(500):
        if sent(folder) == names:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"it was asked for {sent(folder)}")


@pytest.mark.parametrize(
    ("asking", "name", "key", "sure"),
    [
        ("s", "stop", "y", True),
        ("s", "stop", "n", False),
        ("a", "abort", "y", True),
        ("a", "abort", "escape", False),
        ("a", "abort", "enter", False),
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


async def test_an_answer_shows_for_a_moment_and_stays_among_what_was_said() -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press("p")
        await told(pilot, folder, ["pause"])
        (command,) = CommandReader(folder.commands).new()
        EventWriter(folder.events).emit(answer(command, f"it pauses {HOSTILE}", taken=True))
        await drawn(pilot, len(STORY) + 1)
        for _ in range(500):
            if app._notifications:
                break
            await asyncio.sleep(0.01)
        assert [note.message[:16] for note in app._notifications] == ["pause: it pauses"]
        assert "\x1b" not in next(iter(app._notifications)).message
        assert "pause: it pauses [red]markup" in text(app, "#remarks")


async def test_leaving_while_an_answer_is_awaited_takes_no_time() -> None:
    app = WatchApp(run_of(*STORY))
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press("c")
        began = time.monotonic()
        await pilot.press("q")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("key", ["s", "a", "p", "c"])
async def test_a_run_that_is_over_is_asked_for_nothing(key: str) -> None:
    folder = run_of(*STORY, DONE)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY) + 1)
        await pilot.press(key)
        assert isinstance(app.screen, DashboardScreen)
    assert folder.commands.read_bytes() == b""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((PAUSED,), "paused, memory kept · step 3/10"),
        ((Restarting(attempt=2, why="w", after_seconds=1.0, left=4),), "restarting · step 3/10"),
        ((Queued(place=2, host="h", supervisor_pid=1, supervisor_mark="m"),), "queued, place 2"),
        (
            (started(attempt=2), Resumed(step=2, folder="f", training_seconds=4.0)),
            "starting · step 2/10 · 16 s left · worker 2",
        ),
    ],
)
async def test_the_headline_says_what_the_run_is_at(more: tuple[AnyEvent, ...], said: str) -> None:
    app = WatchApp(run_of(*STORY, *more))
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY) + len(more))
        assert text(app, "#headline").startswith(said)


async def test_the_chart_follows_a_run_that_goes_back() -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        bars = app.screen.query_one(Sparkline)
        assert len(bars.data or ()) == 3
        writer = EventWriter(folder.events)
        writer.emit(Resumed(step=2, folder="f"))
        await drawn(pilot, len(STORY) + 1)
        assert len(bars.data or ()) == 2
        writer.emit(Resumed(step=0, folder=None))
        await drawn(pilot, len(STORY) + 2)
        assert len(bars.data or ()) == 0


async def test_an_end_that_the_log_goes_on_behind_makes_nobody_leave() -> None:
    failed = Failed(what="it broke", where="training", remedy="Mend it.")
    folder = run_of(*STORY, failed, started(attempt=2), Resumed(step=2, folder="f"))
    app = WatchApp(folder, leave_at_end=True)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY) + 3)
        dashboard(app).on_run_advanced(
            RunAdvanced(fold([*STORY, failed], RunState()))
        )  # as where the log is read in two
        await pilot.pause(0.3)
        assert app.return_value is None
        EventWriter(folder.events).emit(DONE)
        for _ in range(500):
            if app.return_value is not None:
                break
            await pilot.pause(0.01)
    assert app.return_value is not None


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
