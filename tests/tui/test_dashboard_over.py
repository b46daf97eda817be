"""A run that is over, lost or gone: what its dashboard still offers, and how it is gone on with from there."""

from __future__ import annotations

import asyncio
import shutil
import threading

import msgspec
import pytest
from textual.message import Message

from pegbox_methods.events import AnyEvent, Failed, Finished
from pegbox_methods.refusal import Refusal
from pegbox_runs import continuing, viewing
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import fold
from pegbox_tui.app import WatchApp
from pegbox_tui.dashboard import following
from pegbox_tui.dashboard.keys import working
from pegbox_tui.dashboard.screen import DashboardScreen
from pegbox_tui.messages import RunAdvanced
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.help import keys_of
from tests.stories import STORY, started, step
from tests.tui.dashboards import DONE, PAUSED, dashboard, drawn, run_of, seen, text, until

STOPPED = msgspec.structs.replace(DONE, reason="stopped")
REFUSED = Failed(what="w", where="loading", remedy="r", kind="refused")
CRASHED = Failed(what="w", where="loading", remedy="r", kind="crash")


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an end be seen at once."""
    monkeypatch.setattr(viewing, "ALIVE_SECONDS", 0.02)
    monkeypatch.setattr(following, "ALIVE_SECONDS", 0.02)


@pytest.mark.parametrize(
    ("more", "works"),
    [
        ((), {"pause", "release", "checkpoint", "stop", "abort"}),
        ((PAUSED,), {"pause", "checkpoint", "stop", "abort"}),
        ((DONE,), set()),
        ((STOPPED,), {"continue"}),
        ((CRASHED,), {"continue"}),
        ((REFUSED,), set()),
    ],
)
def test_only_what_does_something_is_offered(more: tuple[AnyEvent, ...], works: set[str]) -> None:
    assert working(fold([*STORY, *more])) == works


@pytest.mark.parametrize(
    ("end", "shown"),
    [(DONE, " q Leave  ? Explain  ^p Commands"), (STOPPED, " q Leave  p Continue  ? Explain  ^p Commands")],
)
async def test_the_key_line_and_the_help_of_a_run_that_is_over_name_only_what_works(end: Finished, shown: str) -> None:
    app = WatchApp(run_of(*STORY, end))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: dashboard(app).state.over, "the end")
        await pilot.pause()
        assert seen(app).splitlines()[-1].rstrip() == shown
        helped = {does: keys for keys, does in keys_of(app.screen)}
        assert not {"Stop", "Abort", "Checkpoint", "Pause/resume"} & set(helped)
        assert ("Continue the run" in helped) == (end is STOPPED)


async def test_a_run_that_was_stopped_is_continued_by_a_key_and_shown_on(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_of(*STORY, STOPPED)
    asked: list[RunFolder] = []

    def go_on(which: RunFolder) -> None:
        asked.append(which)
        EventWriter(folder.events).emit(started(attempt=2))
        EventWriter(folder.events).emit(step(4))

    monkeypatch.setattr(continuing, "continue_run", go_on)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await until(pilot, lambda: dashboard(app).state.over, "the end")
        await pilot.press("p")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("n")
        assert not asked
        await pilot.press("p", "y")
        await until(pilot, lambda: "the run goes on" in text(app, "#asked"), "the answer")
        assert asked == [folder]
        await until(pilot, lambda: dashboard(app).state.steps_done == 4, "what the next worker tells")
        assert "s Stop" in seen(app)


async def test_why_a_run_cannot_be_continued_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_folder: RunFolder) -> None:
        raise Refusal("somebody carries it")

    monkeypatch.setattr(continuing, "continue_run", refuse)
    app = WatchApp(run_of(*STORY, STOPPED))
    async with app.run_test() as pilot:
        await until(pilot, lambda: dashboard(app).state.over, "the end")
        await pilot.press("p", "y")
        await until(pilot, lambda: "somebody carries it" in text(app, "#asked"), "the refusal")


@pytest.mark.parametrize("log_goes_first", [False, True], ids=["at-once", "log-first"])
@pytest.mark.parametrize("more", [(), (DONE,)], ids=["running", "finished"])
async def test_a_run_that_is_deleted_while_it_is_watched_is_called_so(
    more: tuple[AnyEvent, ...], log_goes_first: bool
) -> None:
    folder = run_of(*STORY, *more)
    app = WatchApp(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await drawn(pilot, len(STORY) + len(more))
        if log_goes_first:
            folder.events.unlink()
            await asyncio.sleep(0.3)  # long enough to be looked for
        shutil.rmtree(folder.path)
        await until(pilot, lambda: dashboard(app).state.deleted, "word of it")
        await until(pilot, lambda: text(app, "#headline").startswith("deleted"), "the headline")
        assert "this run was deleted" in seen(app)
        assert "step 3/10" in text(app, "#progress")
        await pilot.press("s")
        assert "was deleted" in text(app, "#asked")
    assert not folder.path.exists()


async def test_a_run_that_is_deleted_while_its_log_is_read_again_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = run_of(*STORY, DONE)
    monkeypatch.setattr(following, "_goes_on", lambda folder, left: not shutil.rmtree(folder.path))
    told: list[Message] = []
    following.keep_telling(folder, threading.Event(), told.append)
    newest = [message for message in told if isinstance(message, RunAdvanced)][-1]
    assert newest.state.deleted
    assert newest.state.steps_done == 3


async def test_escape_takes_the_cursor_away_and_leads_back_only_where_there_is_a_list() -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press("escape")
        assert isinstance(app.screen, DashboardScreen)
        over = DashboardScreen(folder, back=True)
        await app.push_screen(over)
        await until(pilot, lambda: over.state.steps_done == 3, "the steps")
        await pilot.press("left", "escape")
        assert app.screen is over
        assert "q Back" in seen(app)
        await pilot.press("escape")
        assert app.screen is not over
