"""A start belongs to the wizard: whoever turns, leaves or asks again meanwhile, there is one run, and it is seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_runs.drafts import Draft, draft_file, read_draft, write_draft
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.starting import Begun
from pegbox_tui.wizard.app import WizardApp
from pegbox_tui.wizard.messages import StartAsked
from pegbox_tui.wizard.parting import Parting
from pegbox_tui.wizard.words import BEING_STARTED, KEPT, LEAVES_AFTER_START, START_UNSEEN, goes_on
from tests.tui.test_wizard import cardboard, finished_run, step, until, wizard

__all__ = ["cardboard", "finished_run"]


class SlowStart:
    """A start that takes as long as the test wants."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.starts = 0
        self.forecasts = 0
        self.refuses = ""
        self.go_on = threading.Event()

    def __call__(self) -> Begun:
        self.starts += 1
        assert self.go_on.wait(20)
        if self.refuses:
            raise Refusal(self.refuses)
        return Begun([self.folder], self._keep_forecasts)

    def _keep_forecasts(self) -> None:
        self.forecasts += 1


@pytest.fixture
def slow(finished_run: RunFolder) -> Iterator[SlowStart]:
    start = SlowStart(finished_run)
    yield start
    start.go_on.set()


@pytest.fixture
def draft(home: Path) -> Draft:
    left = Draft(step="review", reached="review", model=Model(name="org/tiny"))
    write_draft(left)
    return left


def notes(app: WizardApp) -> set[str]:
    return {note.message for note in app._notifications}


def ask(app: WizardApp, start: SlowStart, *, ends_draft: bool = True) -> None:
    app.screen.post_message(StartAsked(app.screen, start, ends_draft))


@pytest.mark.usefixtures("draft")
async def test_nobody_turns_or_starts_again_while_a_run_is_being_started(slow: SlowStart) -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        ask(app, slow)
        await until(lambda: slow.starts)
        await pilot.press("escape", "1", "ctrl+r")
        assert step(app) == "review"
        assert BEING_STARTED in notes(app)
        ask(app, slow)
        await pilot.pause()
        slow.go_on.set()
        await until(lambda: type(app.screen).__name__ == "DashboardScreen")
        await until(lambda: not draft_file().exists())
        assert (slow.starts, app.draft) == (1, Draft())
        await until(lambda: slow.forecasts)


@pytest.mark.usefixtures("draft")
async def test_leaving_waits_for_the_start_and_says_that_the_run_goes_on(slow: SlowStart) -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        ask(app, slow)
        await until(lambda: slow.starts)
        await pilot.press("q")
        assert LEAVES_AFTER_START in notes(app)
        slow.go_on.set()
        await until(lambda: app.return_value is not None)
    assert app.return_value == Parting((goes_on(slow.folder.id),))
    assert app.starter.wait(10)
    assert slow.forecasts == 1
    assert not draft_file().exists()


async def test_a_start_that_is_refused_while_somebody_waits_to_leave_is_said_and_the_draft_kept(
    slow: SlowStart, draft: Draft
) -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        ask(app, slow)
        await until(lambda: slow.starts)
        await pilot.press("q")
        slow.refuses = "no supervisor took it."
        slow.go_on.set()
        await until(lambda: app.return_value is not None)
    assert app.return_value == Parting(("Nothing was started: no supervisor took it.", KEPT))
    assert read_draft() == draft


@pytest.mark.usefixtures("draft")
async def test_who_leaves_at_once_finds_a_run_and_no_draft_that_would_start_it_again(slow: SlowStart) -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        ask(app, slow)
        await until(lambda: slow.starts)
        await pilot.press("q", "q")
    assert app.return_value == Parting((START_UNSEEN,))
    slow.go_on.set()
    assert app.starter.wait(10)
    assert app.keeper.settle(10)
    assert slow.forecasts == 1
    assert not draft_file().exists()


@pytest.mark.usefixtures("draft")
async def test_a_start_that_breaks_can_be_tried_again(slow: SlowStart) -> None:
    app = wizard()
    tried: list[bool] = []

    def breaks() -> Begun:
        tried.append(True)
        raise ValueError("[red]oh no")

    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        app.screen.post_message(StartAsked(app.screen, breaks, ends_draft=True))
        await until(lambda: tried and not app.starter.busy)
        slow.go_on.set()
        ask(app, slow)
        await until(lambda: slow.starts)


async def test_runs_without_the_drafts_own_leave_it_to_be_gone_on_with(slow: SlowStart, draft: Draft) -> None:
    app = wizard()
    slow.go_on.set()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        ask(app, slow, ends_draft=False)
        await until(lambda: type(app.screen).__name__ == "DashboardScreen")
        await until(lambda: pilot.app.screen.is_current)
        await pilot.press("q")
    assert app.return_value is not None
    assert app.return_value.lines[1:] == (KEPT,)
    assert read_draft() == draft
