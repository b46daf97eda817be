"""What all screens share: sizes, colors, ASCII, questions, explanations, the palette, fields."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from textual import events
from textual.app import ComposeResult
from textual.geometry import Size
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Button, OptionList, Static

from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.ascii_lines import in_ascii
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.cover import cover_lines
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.fields import LONGEST, Field
from pegbox_tui.shell.help import HelpScreen
from pegbox_tui.shell.key_line import KeyLine, KeyPart, fitting, parts_of
from pegbox_tui.shell.look import Look, look_file
from pegbox_tui.shell.palette import Command, Palette
from tests.tui.cardboard_steps import Explaining

HOSTILE = "[red]markup[/red] [@click=app.quit]x[/] \x1b[31mescape\x1b[0m"


class Plain(Screen[None]):
    """A field, a list and a button, with frames that aren't ASCII."""

    def compose(self) -> ComposeResult:
        yield Static("┌─ é ✓ → 語 ⠿ █ ─┐", id="drawn", markup=False)
        yield Field(id="field")
        yield Explaining("one", "two", id="list", markup=False)
        yield Button("press", id="button")
        yield KeyLine()

    def explanation(self) -> Explanation | None:
        return Explanation("The screen", "as a whole")

    def commands(self) -> Iterable[Command]:
        yield (HOSTILE, HOSTILE, lambda: self.query_one(Field).clear())
        yield ("Fill", "fill the field", lambda: setattr(self.query_one(Field), "value", "filled"))


class OneScreen(PegboxApp[None]):
    def on_mount(self) -> None:
        self.push_screen(Plain())


def field(app: PegboxApp[None]) -> Field:
    return app.screen.query_one(Field)


def drawn(app: PegboxApp[None]) -> str:
    """Give the screen as text, line by line, after the filters."""
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


async def paste(pilot: Pilot[None], text: str) -> None:
    field(pilot.app).post_message(events.Paste(text))  # type: ignore[arg-type]
    await pilot.pause()


async def test_a_terminal_that_is_too_small_acts_on_nothing_and_loses_nothing() -> None:
    app = OneScreen()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*"half")
        await pilot.resize_terminal(40, 10)
        assert app.is_covered
        await pilot.press("x", "tab", "enter")
        app.post_message(events.MouseDown(None, 3, 3, 0, 0, 1, False, False, False))
        app.post_message(events.Paste("pasted"))
        await pilot.resize_terminal(30, 6)
        assert app.is_covered
        await pilot.resize_terminal(80, 24)
        await pilot.pause(0.05)
        assert not app.is_covered
        assert app.screen.size == (80, 24)
        assert (field(app).value, app.focused) == ("half", field(app))
        await pilot.press("s")
        assert field(app).value == "halfs"


def test_the_cover_says_what_is_needed_and_what_is_there_and_fits() -> None:
    assert cover_lines(Size(40, 10))[:2] == ["Pegbox needs 60x20,", "this is 40x10."]
    for size in (Size(1, 1), Size(20, 5), Size(59, 60)):
        assert all(len(line) <= size.width for line in cover_lines(size))
        assert len(cover_lines(size)) <= size.height


async def test_a_question_that_comes_up_under_the_cover_waits_for_the_person() -> None:
    app = OneScreen()
    async with app.run_test(size=(40, 10)) as pilot:
        app.push_screen(ConfirmScreen("Sure?"))
        await pilot.pause(0.05)
        await pilot.press("y")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.resize_terminal(80, 24)
        await pilot.pause(0.05)
        assert "Sure?" in drawn(app)
        await pilot.press("y")
        assert isinstance(app.screen, Plain)


async def test_ctrl_c_leaves_from_under_the_cover() -> None:
    app = OneScreen()
    async with app.run_test(size=(20, 5)) as pilot:
        await pilot.press("ctrl+c")
        await pilot.pause()
    assert app._exit


async def test_a_storm_of_sizes_ends_in_the_last() -> None:
    app = OneScreen()
    async with app.run_test(size=(80, 24)) as pilot:
        for width, height in [(1, 1), (200, 60), (59, 24), (3, 40), (80, 2), (61, 21), (1, 60), (120, 1), (90, 30)]:
            await pilot.resize_terminal(width, height)
        await pilot.pause(0.05)
        assert app.screen.size == (90, 30)
        assert not app.is_covered
        assert "press" in drawn(app)


def test_every_sign_becomes_ascii_of_the_same_width() -> None:
    assert in_ascii("┌─ é ✓ → 語 ⠿ █ ─┐") == "+- e v > ?? ? # -+"
    assert in_ascii("ﬁ…\u0301") == "?."
    assert in_ascii("plain") == "plain"


async def test_nothing_but_ascii_is_drawn_where_that_was_asked_for() -> None:
    app = OneScreen(Look(ascii=True))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert drawn(app).isascii()
        await pilot.press("f1")
        assert drawn(app).isascii()
        await pilot.press("escape", "ctrl+p")
        await pilot.pause(0.1)
        assert drawn(app).isascii()


async def test_the_theme_that_is_chosen_is_remembered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEGBOX_THEME", raising=False)
    app = OneScreen(Look.here())
    async with app.run_test() as pilot:
        assert app.theme == "textual-dark"
        await pilot.press("ctrl+p", *"light")
        await pilot.pause(0.3)
        await pilot.press("enter")
        await pilot.pause()
        assert app.theme == "textual-light"
    assert json.loads(look_file().read_text()) == {"theme": "light"}
    assert not Look.here().dark
    assert Look.here(environment={"PEGBOX_THEME": "dark"}).dark
    look_file().write_text("[1")
    assert Look.here().dark


async def test_what_cannot_be_remembered_is_said_and_done_all_the_same(home: Path) -> None:
    home.write_text("a file where the folder should be")
    app = OneScreen()
    async with app.run_test() as pilot:
        app.choose_theme(dark=False)
        await pilot.pause()
        assert app.theme == "textual-light"
        assert "can't be remembered" in " ".join(note.message for note in app._notifications)


def test_calm_is_taken_from_the_surroundings_and_from_what_was_chosen(home: Path) -> None:
    assert not Look.here(environment={}).calm
    assert Look.here(environment={"PEGBOX_CALM": "1"}).calm
    assert not Look.here(environment={"PEGBOX_CALM": "0"}).calm
    OneScreen()._keep("calm", True)
    assert Look.here(environment={}).calm


async def test_the_palette_offers_the_screens_commands_and_ours_as_they_are_written() -> None:
    app = OneScreen()
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("ctrl+p")
        await pilot.pause(0.1)
        assert isinstance(app.screen, Palette)
        offered = [str(option.prompt) for option in app.screen.query_one(OptionList).options]
        assert offered[0].startswith("[red]markup[/red] [@click=app.quit]x[/] \\x1b[31mescape")
        assert any(one.startswith("Colors: light") for one in offered)
        assert not any("Screenshot" in one or "Maximize" in one for one in offered)
        await pilot.press("ctrl+p", *"fill")
        await pilot.pause(0.3)
        await pilot.press("enter")
        await pilot.pause()
        assert field(app).value == "filled"


async def test_help_explains_the_focused_thing_with_its_source_and_the_keys() -> None:
    app = OneScreen()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f1")
        assert isinstance(app.screen, HelpScreen)
        assert "The screen" in drawn(app)
        await pilot.press("escape", "tab", "down", "question_mark")
        await pilot.pause()
        said = drawn(app)
        assert "Choice 1" in said
        assert "what it [bold]means\\x1b[31m" in said
        assert "Source: Somebody 2021" in said
        assert "^p" in said
        assert "Delete" not in said
        await pilot.press("question_mark")
        assert isinstance(app.screen, Plain)


async def test_a_question_mark_in_a_field_is_a_letter() -> None:
    app = OneScreen()
    async with app.run_test() as pilot:
        assert ("f1", "Explain") in {(part.shown, part.does) for part in parts_of(app.screen)}
        await pilot.press("question_mark", "q")
        assert field(app).value == "?q"
        await pilot.press("tab")
        assert ("?", "Explain") in {(part.shown, part.does) for part in parts_of(app.screen)}


def test_help_and_the_palette_stay_in_the_last_line_however_narrow_it_is() -> None:
    others = [KeyPart(letter, letter, "Something", True) for letter in "abcdef"]
    parts = [*others, KeyPart("?", "?", "Explain", True), KeyPart("ctrl+p", "^p", "Commands", True)]

    def line(width: int) -> str:
        said = "".join(part.words for part in fitting(parts, width))
        assert len(said) <= width
        return said

    assert line(102).endswith(" f Something  ? Explain  ^p Commands ")
    assert line(101).endswith(" f Something  ? Help  ^p More ")
    assert line(93).endswith(" f Something ? Help ^p More")
    assert line(80) == " a Something b Something c Something d Something e Something f Something ? ^p"
    assert line(20) == " a Something ? ^p"
    assert line(5) == " ? ^p"


async def test_the_keys_in_the_last_line_can_be_clicked() -> None:
    app = OneScreen()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.click(KeyLine, offset=(2, 0))
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)


async def test_100_kb_that_are_pasted_are_refused_at_once_and_whole() -> None:
    app = OneScreen()
    async with app.run_test() as pilot:
        await pilot.press(*"kept ")
        begin = time.process_time()
        await paste(pilot, "x" * 100_000)
        assert time.process_time() - begin < 1.0
        assert field(app).value == "kept "
        assert f"{LONGEST:,}" in " ".join(note.message for note in app._notifications)
        await paste(pilot, "y" * 1000 + "\n" + "z" * 99_000)
        assert field(app).value == "kept " + "y" * 1000


async def test_what_acts_or_hides_never_gets_into_a_field() -> None:
    app = OneScreen()
    async with app.run_test() as pilot:
        await paste(pilot, "a\x1b[31mb\u200bc\td\u202ee\x07")
        assert field(app).value == "a[31mbcde"
        assert "left out" in " ".join(note.message for note in app._notifications)
        field(app).value = "from a draft\x1b]0;title\x07"
        assert field(app).value == "from a draft]0;title"


async def test_no_cursor_blinks_and_nothing_is_animated() -> None:
    app = OneScreen()
    async with app.run_test() as pilot:
        assert not field(app).cursor_blink
        assert app.animation_level == "none"
        await pilot.press("ctrl+p")
        assert not app.screen.query_one("CommandInput").cursor_blink  # type: ignore[attr-defined]


@pytest.mark.parametrize(("key", "sure"), [("y", True), ("n", False), ("escape", False), ("enter", False)])
async def test_a_question_is_answered_by_a_key_and_enter_does_no_harm(key: str, sure: bool) -> None:
    app = OneScreen()
    answers: list[bool | None] = []
    async with app.run_test(size=(60, 20)) as pilot:
        app.push_screen(ConfirmScreen(HOSTILE + " very long" * 200), answers.append)
        await pilot.pause()
        assert "[red]markup[/red]" in drawn(app)
        assert "Yes (y)" in drawn(app)
        await pilot.press(key)
        await pilot.pause()
    assert answers == [sure]


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_focus_and_choice_are_seen_without_color(theme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = OneScreen(Look(dark=theme == "dark"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("tab")
        assert {"bold", "reverse"} & attributes(app, "one")
        await pilot.press("tab")
        assert not {"reverse"} & attributes(app, "one")
        assert {"reverse"} & attributes(app, "press")


def attributes(app: PegboxApp[None], text: str) -> set[str]:
    """Give the attributes of the first cells that show a text."""
    for line in app.screen._compositor.render_strips():
        for segment in line:
            if text in segment.text and segment.style is not None:
                return {name for name in ("bold", "reverse", "underline") if getattr(segment.style, name)}
    raise AssertionError(f"{text} isn't seen")
