"""The list that all steps choose from: its chosen line is told by a sign, and it ends at its ends."""

from __future__ import annotations

import pytest
from textual.app import ComposeResult
from textual.widgets.option_list import Option

from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.choice_list import ChoiceList
from pegbox_tui.shell.fields import Field
from tests.tui.cardboard import drawn

LINES = (
    "A heading",
    "first",
    "second,\nwhich goes on in another line",
    "gone",
    "last",
)
CLOSED = {"A heading", "gone"}


class ListApp(PegboxApp[None]):
    """A field, and a list below it."""

    def compose(self) -> ComposeResult:
        yield Field(compact=True)
        yield ChoiceList(*(Option(line, disabled=line in CLOSED) for line in LINES), markup=False)


def signed(app: ListApp) -> list[str]:
    """Give the lines that have a sign."""
    return [line.rstrip() for line in drawn(app).splitlines() if line[:1] in (">", "·")]


async def test_the_chosen_line_has_a_sign_that_says_whether_the_keys_go_there() -> None:
    app = ListApp()
    async with app.run_test(size=(60, 20)) as pilot:
        chosen = app.query_one(ChoiceList)
        chosen.focus()
        await pilot.pause()
        assert signed(app) == ["> first"], "the first that can be chosen is, at once"
        await pilot.press("down")
        assert signed(app) == ["> second,"]
        app.query_one(Field).focus()
        await pilot.pause()
        assert [line[0] for line in signed(app)] == ["·"]
        chosen.lead()
        await pilot.pause()
        assert [line[0] for line in signed(app)] == [">"]


async def test_it_ends_at_its_ends_and_passes_over_what_cannot_be_chosen() -> None:
    app = ListApp()
    async with app.run_test(size=(60, 20)) as pilot:
        chosen = app.query_one(ChoiceList)
        chosen.focus()
        seen = []
        for key in ("up", "down", "down", "down", "up", "home", "end"):
            await pilot.press(key)
            seen.append(chosen.highlighted)
        assert seen == [1, 2, 4, 4, 2, 1, 4]


@pytest.mark.parametrize(("wanted", "chosen"), [(None, 1), (0, 1), (2, 2), (3, 4), (99, 4)])
async def test_the_nearest_line_that_can_be_chosen_is(wanted: int | None, chosen: int) -> None:
    app = ListApp()
    async with app.run_test(size=(60, 20)):
        app.query_one(ChoiceList).choose(wanted)
        assert app.query_one(ChoiceList).highlighted == chosen


async def test_a_list_of_nothing_has_nothing_chosen() -> None:
    app = ListApp()
    async with app.run_test(size=(60, 20)) as pilot:
        chosen = app.query_one(ChoiceList)
        chosen.set_options([Option("gone", disabled=True)])
        chosen.focus()
        await pilot.press("down", "up", "enter")
        assert signed(app) == []
