"""The chat on a screen, with made-up models: what is drawn while they speak, and what each key does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from pegbox_runs.chatting.as_trained import AsTrained
from pegbox_runs.chatting.records import BASE, Interrupt, Sampling
from pegbox_runs.chatting.speakers import Speaker
from pegbox_runs.chatting.talk import Talk
from pegbox_tui.chat import screen
from pegbox_tui.chat.app import ChatApp
from pegbox_tui.chat.prompt_sheet import PromptScreen, PromptSheet
from pegbox_tui.chat.settings_sheet import SettingsScreen
from pegbox_tui.chat.transcript import Transcript
from pegbox_tui.shell.help import HelpScreen
from pegbox_tui.shell.said_line import SaidLine
from tests.pretended_chat import DORA, LORA, PretendedModels, speaker, talk_of

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
QUESTION = "What is a peg, and what is it good for?"
ANSWERS = {
    BASE: "A peg is a short pin or bolt. It is used to hold things together, to hang things on, or to mark a place.",
    LORA: "A pin that holds a string.\nTurn it, and the note rises.",
    DORA: "A pin.",
}
HOSTILE = "[red]markup[/red] [@click=app.quit]x[/] \x1b[31mescape\x1b[0m \x07\u202e"


@pytest.fixture(autouse=True)
def drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no drawing wait for the next."""
    monkeypatch.setattr(screen, "DRAW_SECONDS", 0.0)


class Played:
    """A chat, and the models behind it."""

    def __init__(self, *speakers: Speaker, both: bool = True) -> None:
        self.models = PretendedModels()
        self.talk: Talk = talk_of(self.models, *speakers)
        self.talk.open()
        self.app = ChatApp(self.talk, both=both)

    def prompts(self, turn: int, *lanes: str, text: str = "<|im_start|>user\nquestion<|im_end|>\n") -> None:
        for lane in lanes or self.talk.lanes:
            self.models.shows(lane, turn, text)

    def says(self, lane: str) -> str:
        """Give what a lane's column holds."""
        (column,) = (one for one in self.app.chat.query(screen.Column) if one.lane == lane)
        return column.query_one(Transcript).said

    @property
    def told(self) -> str:
        """Give the line above the question."""
        return self.app.chat.query_one(SaidLine).said

    async def ask(self, pilot: Pilot[Any], question: str) -> None:
        """Type a question, and send it."""
        self.app.chat.query_one("#question", Input).value = question
        await pilot.press("enter")
        await until(pilot, lambda: bool(self.talk.turns) and self.talk.turns[-1].question == question)


async def until(pilot: Pilot[Any], holds: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(500):
        if holds():
            await pilot.pause()
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")


def drawn(app: ChatApp) -> str:
    """Give what stands on the terminal."""
    return "\n".join("".join(part.text for part in strip) for strip in app.screen._compositor.render_strips())


def three() -> Played:
    return Played(speaker(), speaker(DORA, "dora"))


async def loading(played: Played, pilot: Pilot[Any]) -> None:
    played.models.loads(f"loading {LORA}")
    await until(pilot, lambda: "loading" in played.says(BASE))


async def speaking(played: Played, pilot: Pilot[Any]) -> None:
    played.models.opens(played.talk)
    await played.ask(pilot, QUESTION)
    played.prompts(1)
    for lane in played.talk.lanes:
        played.models.speaks(lane, 1, ANSWERS[lane][:20], tokens=5, end="")
    await until(pilot, lambda: all("5 tokens" in played.says(lane) for lane in played.talk.lanes))


async def answered(played: Played, pilot: Pilot[Any]) -> None:
    await speaking(played, pilot)
    for lane in played.talk.lanes:
        played.models.speaks(lane, 1, ANSWERS[lane][20:], tokens=30)
    await until(pilot, lambda: all("30 tokens" in played.says(lane) for lane in played.talk.lanes))


async def in_trouble(played: Played, pilot: Pilot[Any]) -> None:
    await answered(played, pilot)
    await played.ask(pilot, "And then?")
    played.models.shows(LORA, 2, "long", tokens=900, dropped=2)
    played.models.speaks(LORA, 2, HOSTILE, tokens=12, end="interrupted")
    played.models.speaks(BASE, 2, "", tokens=0, end="failed", why="the device ran out of memory")
    await until(pilot, lambda: "left out" in played.says(LORA) and "memory" in played.says(BASE))


async def prompt(played: Played, pilot: Pilot[Any]) -> None:
    await answered(played, pilot)
    await pilot.press("f3")
    await until(pilot, lambda: isinstance(played.app.screen, PromptScreen))


async def settings(played: Played, pilot: Pilot[Any]) -> None:
    await answered(played, pilot)
    await pilot.press("f4")
    await until(pilot, lambda: isinstance(played.app.screen, SettingsScreen))


@SIZES
@pytest.mark.parametrize("scene", [loading, speaking, answered, in_trouble, prompt, settings])
def test_how_it_looks(snap_compare: Any, size: tuple[int, int], scene: Any) -> None:
    played = Played()

    async def play(pilot: Pilot[Any]) -> None:
        await scene(played, pilot)

    assert snap_compare(played.app, terminal_size=size, run_before=play)


@SIZES
def test_how_three_look(snap_compare: Any, size: tuple[int, int]) -> None:
    played = three()

    async def play(pilot: Pilot[Any]) -> None:
        await answered(played, pilot)

    assert snap_compare(played.app, terminal_size=size, run_before=play)


async def test_escape_and_ctrl_c_interrupt_who_speaks_and_ctrl_c_leaves_who_does_not() -> None:
    for key in ("escape", "ctrl+c"):
        played = Played()
        async with played.app.run_test() as pilot:
            await speaking(played, pilot)
            await pilot.press(key)
            assert isinstance(played.models.told[-1], Interrupt)
            assert played.app.is_running
            for lane in played.talk.lanes:
                played.models.speaks(lane, 1, "", end="interrupted")
            await until(pilot, lambda: "interrupted" in played.says(LORA))  # noqa: B023
            assert ANSWERS[LORA][:20] in played.says(LORA)
            await pilot.press("ctrl+c")
            await pilot.pause()
        assert played.app.return_value == ""


async def test_a_second_ctrl_c_leaves_though_the_models_do_not_answer() -> None:
    played = Played()
    async with played.app.run_test() as pilot:
        await played.ask(pilot, "One?")
        await pilot.press("ctrl+c")
        assert played.app.is_running
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert not played.app.is_running


async def test_what_a_model_says_is_shown_and_never_acts() -> None:
    played = Played()
    async with played.app.run_test(size=(120, 40)) as pilot:
        await in_trouble(played, pilot)
        said = drawn(played.app)
        assert r"\x1b[31mescape" in said.replace("\n", "")
        assert "[red]markup[/red]" in said
        assert not set("\x1b\x07\u202e") & set(said)


async def test_what_is_to_be_known_before_stands_in_the_last_column() -> None:
    played = Played(speaker(trained=AsTrained(templated=False)))
    async with played.app.run_test() as pilot:
        played.models.opens(played.talk)
        await until(pilot, lambda: "Ask something" in played.says(LORA))
        assert "plain text" in played.says(LORA).replace("\n", " ")
        assert "plain text" not in played.says(BASE)


async def test_the_base_is_asked_or_not() -> None:
    played = Played(both=False)
    async with played.app.run_test() as pilot:
        played.models.opens(played.talk)
        await played.ask(pilot, "One?")
        assert [asked.lane for asked in played.models.asked.asked] == [LORA]
        played.models.speaks(LORA, 1, "A.")
        await pilot.press("f2")
        assert "hasn't heard the question" in played.told
        await played.ask(pilot, "Two?")
        assert [asked.lane for asked in played.models.asked.asked] == [BASE, LORA]
        await pilot.press("f2")
        assert "isn't asked" in played.told


async def test_the_prompt_of_what_is_typed_is_shown_before_it_is_asked() -> None:
    played = Played()
    async with played.app.run_test(size=(120, 40)) as pilot:
        played.models.opens(played.talk)
        await pilot.press("f3")
        assert "Type something" in played.told
        await pilot.press(*"hey", "f3")
        assert not played.models.asked.answering
        played.prompts(0, text="<|im_start|>user\nhey")
        await until(pilot, lambda: "<|im_start|>user" in played.app.screen.query_one(PromptSheet).said)
        said = played.app.screen.query_one(PromptSheet).said
        assert "20 of 1,024 tokens" in said
        assert said.count("<|im_start|>") == 1  # both are shown the same
        await pilot.press("escape")
        assert played.app.chat.query_one("#question", Input).value == "hey"
        assert played.talk.turns == []


async def test_why_there_is_no_prompt_to_be_shown_is_told() -> None:
    played = Played()
    async with played.app.run_test(size=(120, 40)) as pilot:
        played.models.opens(played.talk)
        await pilot.press(*"hey", "f3")
        played.models.speaks(LORA, 0, "", tokens=0, end="failed", why="the chat template fails")
        await until(pilot, lambda: "the chat template fails" in played.told)


async def test_settings_are_taken_for_the_next_question_or_refused_in_place() -> None:
    played = Played()
    async with played.app.run_test() as pilot:
        await settings(played, pilot)
        played.app.screen.query_one("#set-temperature", Input).value = "9"
        await pilot.press("enter")
        assert isinstance(played.app.screen, SettingsScreen)
        assert "temperature" in drawn(played.app)
        played.app.screen.query_one("#set-temperature", Input).value = "0.5"
        played.app.screen.query_one("#set-tokens", Input).value = "64"
        played.app.screen.query_one("#set-system", Input).value = "Rhyme."
        await pilot.press("enter")
        await pilot.pause()
        await played.ask(pilot, "Two?")
        assert played.models.asked.sampling == Sampling(temperature=0.5, tokens=64)
        assert played.models.asked.asked[0].messages[0].content == "Rhyme."


@pytest.mark.parametrize("system", [None, "", "Be brief.\nRhyme."])
async def test_settings_that_are_taken_unchanged_change_nothing(system: str | None) -> None:
    played = Played()
    sampling = Sampling(temperature=0.12345678, top_p=1e-7, seed=12345678, tokens=1_000_000)
    played.talk.sampling, played.talk.system = sampling, system
    async with played.app.run_test() as pilot:
        await settings(played, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(played.app.screen, SettingsScreen))
        assert (played.talk.sampling, played.talk.system) == (sampling, system)


async def test_reset_forgets_and_arrows_bring_questions_back() -> None:
    played = Played()
    async with played.app.run_test() as pilot:
        await answered(played, pilot)
        field = played.app.chat.query_one("#question", Input)
        await pilot.press("up")
        assert field.value == QUESTION
        await pilot.press("down")
        assert field.value == ""
        await pilot.press("f5")
        assert played.talk.turns == []
        assert QUESTION not in played.says(LORA)


async def test_models_that_die_are_told_and_the_next_question_brings_them_back() -> None:
    played = Played()
    async with played.app.run_test(size=(120, 40)) as pilot:
        await answered(played, pilot)
        played.models.dead = "the worker of the job chat was ended by SIGKILL"
        await until(pilot, lambda: "The models are gone" in played.told)
        await played.ask(pilot, "Still there?")
        assert len(played.models.orders) == 2
        assert played.models.asked.asked[1].messages[0].content == QUESTION
    assert not played.app.return_value


async def test_models_that_can_not_be_loaded_are_the_answer() -> None:
    played = Played()
    async with played.app.run_test(size=(120, 40)) as pilot:
        played.models.dead = "the base model is gone."
        await until(pilot, lambda: "No model could be loaded" in played.told)
        await pilot.press("ctrl+q")
    assert played.app.return_value == "the base model is gone."


async def test_a_long_talk_follows_its_end_unless_somebody_scrolls_back() -> None:
    played = Played()
    async with played.app.run_test() as pilot:
        await answered(played, pilot)
        column = played.app.chat.query(Transcript)[0]
        for number in range(2, 12):
            await played.ask(pilot, f"Question {number}?")
            for lane in played.talk.lanes:
                played.models.speaks(lane, number, "words " * 60)
            await until(pilot, lambda: not played.talk.answering)
        end = column.top
        assert end > 0
        await pilot.press("pageup")
        assert column.top < end
        before = column.top
        await played.ask(pilot, "And?")
        assert column.top == before
        await pilot.press("pagedown", "pagedown", "pagedown")
        assert column.top > end


async def test_columns_stand_beside_or_below_each_other_as_there_is_room_or_by_key() -> None:
    played = three()
    async with played.app.run_test(size=(80, 24)) as pilot:
        columns = list(played.app.chat.query(screen.Column))
        assert len({column.region.y for column in columns}) == 3
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert len({column.region.x for column in columns}) == 3
        await pilot.press("f6")
        await pilot.pause()
        assert len({column.region.y for column in columns}) == 3


async def test_help_and_the_palette_know_the_keys_and_a_click_on_a_key_works() -> None:
    played = Played()
    async with played.app.run_test(size=(120, 40)) as pilot:
        played.models.opens(played.talk)
        await pilot.press("f1")
        assert isinstance(played.app.screen, HelpScreen)
        assert "Interrupt" in drawn(played.app)
        await pilot.press("escape")
        titles = [title for title, _, _ in played.app.chat.commands()]
        assert "Settings" in titles
        place = drawn(played.app).splitlines()[-1].index("f4")
        await pilot.click(offset=(place, 39))
        await pilot.pause()
        assert isinstance(played.app.screen, SettingsScreen)
