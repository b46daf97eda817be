"""Text that comes as keys, from a terminal without bracketed paste: no key costs a round of its own."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.app import ComposeResult

from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.fields import Field


class FieldApp(PegboxApp[None]):
    """A field, and how often it changed."""

    changes = 0

    def compose(self) -> ComposeResult:
        yield Field(longest=1000)

    def on_input_changed(self) -> None:
        self.changes += 1


async def sent(pilot: Any, *keys: events.Key) -> None:
    """Have keys wait behind each other, as a terminal's are that come faster than they are taken."""
    for key in keys:
        pilot.app.post_message(key)
    await pilot.pause()
    await pilot.pause()


def letters(text: str) -> list[events.Key]:
    return [events.Key("space" if letter == " " else letter, letter) for letter in text]


async def test_many_letters_are_taken_at_once_in_their_order() -> None:
    app = FieldApp()
    async with app.run_test() as pilot:
        await sent(pilot, *letters("a long path, q and ? in it " * 20))
        assert app.query_one(Field).value == "a long path, q and ? in it " * 20
        assert app.changes < 10


async def test_a_key_behind_them_that_is_no_letter_is_not_swallowed() -> None:
    app = FieldApp()
    async with app.run_test() as pilot:
        await sent(pilot, *letters("abc"), events.Key("backspace", None), events.Key("home", None))
        field = app.query_one(Field)
        assert (field.value, field.cursor_position) == ("ab", 0)


async def test_more_than_a_field_takes_is_said_once() -> None:
    app = FieldApp()
    async with app.run_test() as pilot:
        for _ in range(3):
            await sent(pilot, *letters("x" * 900))
        assert app.query_one(Field).value == "x" * 900
        assert len(app._notifications) == 1
