"""The goal's step: choices kept at once, sentences that hold against the advice, and an aid that stops nobody."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.advice.goals import PRIORITIES as PRIORITY_NAMES
from pegbox_methods.advice.goals import PURPOSES as PURPOSE_NAMES
from pegbox_methods.advice.goals import Goal
from pegbox_methods.advice.instead import QUESTIONS
from pegbox_methods.advice.records import Advice
from pegbox_methods.advice.serving import TARGETS
from pegbox_runs.drafts import Draft
from pegbox_tui.shell.explaining import explained
from pegbox_tui.wizard.goal.choices import Choices, Questions
from pegbox_tui.wizard.goal.screen import GoalStep
from pegbox_tui.wizard.goal.words import (
    PRIORITIES,
    PURPOSES,
    SERVED,
    explain,
    explain_question,
    priority_says,
    purpose_says,
    serving_says,
)
from pegbox_tui.wizard.workbench import Workbench
from tests.methods.advice_situations import ask, model_8b
from tests.methods.advice_situations import rows as rows_of
from tests.tui.wizard_steps import StepApp, drawn, reaches

CARD = "A100 SXM4 80GB"
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


class CardboardBench(Workbench):
    """Knows nothing but how many rows there are."""

    def __init__(self, rows: int | None = None) -> None:
        super().__init__()
        self._rows = rows

    def data(self, draft: Draft) -> DataCard | None:
        return None if self._rows is None else rows_of(self._rows)


class GoalApp(StepApp):
    """The step alone."""

    def __init__(self, draft: Draft | None = None, rows: int | None = None) -> None:
        super().__init__(GoalStep, draft or Draft(step="goal", reached="goal"), CardboardBench(rows))


async def pressed(pilot: Pilot[Any], *keys: str) -> str:
    await pilot.press(*keys)
    await pilot.pause()
    return drawn(pilot.app)


@SIZES
def test_how_it_looks(snap_compare: Any, size: tuple[int, int]) -> None:
    draft = Draft(goal=Goal(purpose="domain"), serving="vllm", instead={"facts": True, "manner": False}, reached="goal")

    async def settle(pilot: Pilot[Any]) -> None:
        await pressed(pilot, "tab", "down")

    assert snap_compare(GoalApp(draft, rows=400), terminal_size=size, run_before=settle)


async def test_keys_alone_answer_everything_and_each_answer_is_kept_at_once() -> None:
    app = GoalApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await pressed(pilot, "down", "enter", "tab", "down", "down", "enter", "tab", "down", "down", "down", "enter")
        assert app.answers[0].goal == Goal(purpose="format")
        assert app.answers[-1].goal == Goal(purpose="format", priority="memory")
        assert app.answers[-1].serving == "vllm"
        said = await pressed(pilot, "tab", "n", "y", "n")
        assert app.answers[-1].instead == {"facts": False, "manner": True, "tried": False}
        assert "Try a prompt first" in said
        await pressed(pilot, "up", "enter", "enter")
        assert app.answers[-1].instead["tried"] is True
        await pressed(pilot, "ctrl+n")
        assert app.turns == ["next"]
        await pressed(pilot, "escape")
        assert app.turns == ["next", "back"]


async def test_what_was_answered_is_shown_again() -> None:
    draft = Draft(goal=Goal(purpose="reasoning", priority="speed"), serving="mlx", instead={"facts": True})
    app = GoalApp(draft)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        said = drawn(app)
        for label in ("● reasoning", "● speed", "● MLX (Mac)"):
            assert label in said
        assert said.count("●") == 3
        assert "Retrieval fits better" in said
        assert not app.answers


async def test_a_click_chooses_too() -> None:
    app = GoalApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.click("#priority", offset=(4, 3))
        await pilot.click("#questions", offset=(4, 1))
        await pilot.pause()
        assert app.answers[-1].goal.priority == "speed"
        assert app.answers[-1].instead == {"manner": True}


async def test_an_answer_can_be_taken_back() -> None:
    app = GoalApp(Draft(goal=Goal(purpose="format"), serving="vllm", instead={"facts": True}))
    async with app.run_test(size=(80, 24)) as pilot:
        await pressed(pilot, "up", "enter", "tab", "tab", "home", "enter", "tab", "delete")
        last = app.answers[-1]
        assert (last.goal.purpose, last.serving, last.instead) == (None, None, {})


async def test_how_many_rows_there_are_is_counted_in() -> None:
    app = GoalApp(rows=34)
    async with app.run_test(size=(80, 24)) as pilot:
        await reaches(pilot, lambda: app.step.rows is not None)
        said = await pressed(pilot, "down", "down")
        assert "34 rows are few" in said
        assert "a domain: Asks for rank 8: fewer than 500" in said


async def test_every_part_explains_itself_and_each_choice_differently() -> None:
    app = GoalApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        texts = []
        for name, count in (("#purpose", 4), ("#priority", 5), ("#serving", 7), ("#questions", 4)):
            part = app.screen.query_one(name)
            assert isinstance(part, Choices | Questions)
            part.focus()
            for place in range(count):
                part.highlighted = place
                await pilot.pause()
                found = explained(app.screen)
                assert found is not None
                texts.append(found.text)
        assert len(set(texts)) == len(texts) == 20


def test_all_that_the_advice_knows_is_offered() -> None:
    assert {offer.name for offer in PURPOSES} == {"", *PURPOSE_NAMES}
    assert {offer.name for offer in PRIORITIES} == set(PRIORITY_NAMES)
    assert {offer.name for offer in SERVED} == {"", *TARGETS}
    for kind, offers in (("purpose", PURPOSES), ("priority", PRIORITIES), ("serving", SERVED)):
        for offer in offers:
            found = explain(kind, offer.name, "x.")
            assert found is not None
            assert found.source or not offer.name or kind == "serving"
    assert all(explain_question(asked).source for asked in QUESTIONS)
    assert serving_says("") != serving_says("vllm")


def rank_of(advice: Advice) -> int:
    rank = advice.settings["method"]["settings"]["rank"]
    assert isinstance(rank, int)
    return rank


@pytest.mark.parametrize("rows", [300, 5000])
@pytest.mark.parametrize("purpose", [None, *PURPOSE_NAMES])
def test_the_rank_that_a_purpose_is_said_to_ask_for_is_advised(purpose: Any, rows: int) -> None:
    said = purpose_says(purpose or "", Goal(), round(0.9 * rows))
    assert f"rank {rank_of(ask(CARD, model_8b(), rows_of(rows), purpose=purpose))}:" in said


def test_what_is_said_of_each_priority_is_what_the_advice_does() -> None:
    def advised(priority: Any, rows: int = 5000, purpose: Any = None) -> Advice:
        return ask(CARD, model_8b(), rows_of(rows), priority=priority, purpose=purpose)

    plain = advised("balanced")
    quality = advised("quality")
    assert (quality.method, rank_of(quality)) == ("rslora", 64)
    assert "rsLoRA at 64" in priority_says("quality")
    assert rank_of(advised("quality", rows=300)) == rank_of(advised("quality", purpose="format")) == 8
    assert advised("quality", purpose="format").method == "dora"
    memory = advised("memory")
    assert rank_of(memory) == 8
    assert memory.memory.safe_bytes < plain.memory.safe_bytes
    assert memory.settings["training"]["micro_batch"] == 1
    others = [one for one in memory.alternatives if one.kind == "method" and one.fits and one.safe_bytes]
    assert all(memory.memory.safe_bytes <= (one.safe_bytes or 0) for one in others)
    speed = advised("speed")
    assert speed.time is not None
    assert plain.time is not None
    assert speed.time.tokens_per_second >= plain.time.tokens_per_second
    assert rank_of(advised("small-adapter")) == 8
    assert rank_of(advised("small-adapter", rows=300)) == 4
    assert advised("small-adapter").memory.trainable_weights < plain.memory.trainable_weights
