"""The wizard and comparisons: one that it started is shown and goes on without it; others are found by a key."""

from __future__ import annotations

import pytest

from pegbox_methods.events import Finished
from pegbox_methods.recipe import Model
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.drafts import Draft, read_draft, write_draft
from pegbox_runs.event_log import EventWriter
from pegbox_runs.starting import Begun
from pegbox_tui.arena.screen import ArenaScreen
from pegbox_tui.dashboard.screen import DashboardScreen
from pegbox_tui.shell.help import keys_of
from pegbox_tui.shell.key_line import parts_of
from pegbox_tui.wizard.app import WizardApp
from pegbox_tui.wizard.messages import StartAsked
from pegbox_tui.wizard.parting import Parting
from pegbox_tui.wizard.runs_line import comparisons_in_a_line
from pegbox_tui.wizard.words import KEPT, NO_COMPARISON, comparison_goes_on
from tests.cli.made_comparisons import COMPLETED, ID, final, made_comparison, run_entry
from tests.stories import started
from tests.tui.test_wizard import cardboard, lines_on_top, step, until, wizard
from tests.tui.test_wizard_starts import notes

__all__ = ["cardboard"]


@pytest.fixture
def draft(home: object) -> Draft:
    left = Draft(step="review", reached="review", model=Model(name="org/tiny"))
    write_draft(left)
    return left


@pytest.fixture
def folder() -> ComparisonFolder:
    made = made_comparison()
    run_entry(made, final("lora"), 1.5)
    return made


def begun(app: WizardApp, folder: ComparisonFolder) -> None:
    app.screen.post_message(StartAsked(app.screen, lambda: Begun([folder], lambda: None), ends_draft=False))


async def test_a_comparison_that_was_started_is_shown_and_goes_on_when_it_is_left(
    draft: Draft, folder: ComparisonFolder
) -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        begun(app, folder)
        await until(lambda: isinstance(app.screen, ArenaScreen) and app.screen.watched.done)
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, DashboardScreen))
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, ArenaScreen))
        await pilot.press("ctrl+o", "ctrl+r")
        assert isinstance(app.screen, ArenaScreen), "nothing is opened over it"
        await pilot.press("q")
    assert app.return_value == Parting((comparison_goes_on(ID), KEPT))
    assert read_draft() == draft


@pytest.mark.parametrize("ends_draft", [False, True])
async def test_escape_leads_back_to_the_wizard_from_a_comparison_that_was_started(
    draft: Draft, folder: ComparisonFolder, ends_draft: bool
) -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        app.screen.post_message(StartAsked(app.screen, lambda: Begun([folder], lambda: None), ends_draft=ends_draft))
        await until(lambda: isinstance(app.screen, ArenaScreen) and app.screen.watched.done)
        offered = {part.does for part in parts_of(app.screen)} | {does for _, does in keys_of(app.screen)}
        assert offered.isdisjoint({"Runs", "Comparison"}), "they do nothing here"
        assert "Back" in offered
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, DashboardScreen))
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, ArenaScreen))
        await pilot.press("escape")
        await until(lambda: not isinstance(app.screen, ArenaScreen))
        await until(lambda: step(app) == ("machine" if ends_draft else "review"))
        assert "Runs" in {part.does for part in parts_of(app.screen)}
        assert app.return_value is None


async def test_the_newest_comparison_is_opened_by_a_key_and_left_for_the_step(
    draft: Draft, folder: ComparisonFolder
) -> None:
    newest = made_comparison("20260103-030405-compare-abcd", events=[COMPLETED])
    newest.summary.write_text("{}")
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter", "ctrl+o")
        await until(lambda: isinstance(app.screen, ArenaScreen))
        assert isinstance(app.screen, ArenaScreen)
        assert app.screen.watched.id == newest.id
        await pilot.press("escape")
        await until(lambda: step(app) == "review")


@pytest.mark.usefixtures("draft")
async def test_where_there_is_no_comparison_the_key_says_how_one_is_started() -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter", "ctrl+o")
        await pilot.pause()
        assert step(app) == "review"
        assert NO_COMPARISON in notes(app)


async def test_a_comparison_that_goes_on_is_told_of_on_the_first_screen(folder: ComparisonFolder) -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)):
        await until(lambda: "A comparison goes on; ctrl+o shows it." in lines_on_top(app))


@pytest.mark.usefixtures("draft")
async def test_a_comparison_that_has_ended_says_so_when_it_is_left(folder: ComparisonFolder) -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        begun(app, folder)
        await until(lambda: isinstance(app.screen, ArenaScreen))
        EventWriter(folder.events).emit(Finished(reason="completed", steps=2, kept_step=2, adapter=None, seconds=1.0))
        await until(lambda: isinstance(app.screen, ArenaScreen) and app.screen.watched.over)
        await pilot.press("q")
    assert app.return_value is not None
    assert app.return_value.lines[0] == f"The comparison has ended. `pegbox compare {ID}` shows what came of it."


def test_comparisons_in_a_line() -> None:
    assert comparisons_in_a_line({}) == ""
    assert comparisons_in_a_line({"a": "finished", "b": "failed"}) == ""
    assert comparisons_in_a_line({"a": "lost", "b": "running"}) == "A comparison goes on; ctrl+o shows it."
    assert comparisons_in_a_line({"a": "paused", "b": "finished"}) == (
        "A comparison goes on; `pegbox compare a` shows it."
    )
    assert comparisons_in_a_line({"a": "queued", "b": "new"}) == "2 comparisons go on; ctrl+o shows it."
    assert comparisons_in_a_line({"a": "lost"}) == "A comparison is lost; ctrl+o shows it."


def test_a_dead_directors_comparison_is_lost_in_the_line() -> None:
    from pegbox_tui.wizard.runs_line import _comparisons_seen

    made_comparison(events=[started(attempt=2, supervisor_mark="gone", worker_mark="gone")])
    assert _comparisons_seen() == "A comparison is lost; ctrl+o shows it."
