"""The wizard's way to a comparison: methods are chosen, or recipes collected, and nothing starts unseen."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from pegbox_methods.recipe import Rows
from pegbox_methods.refusal import Refusal
from pegbox_runs import comparison
from pegbox_runs.arena.asking.creating import CheckedComparison, Wanted
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.spec import Asked
from pegbox_runs.drafts import PlannedCard
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.explaining import explained
from pegbox_tui.shell.key_line import parts_of
from pegbox_tui.wizard.review import screen, working
from pegbox_tui.wizard.review.compare_list import CompareList
from pegbox_tui.wizard.review.compare_screen import CompareScreen
from pegbox_tui.wizard.review.screen import ReviewStep
from tests.runs.arena.made_up_comparisons import comparison as made_up
from tests.tui.cardboard import StepApp, draft, drawn, settled
from tests.tui.test_review_step import NEED, SIZES, Here, app_of, left, pressed
from tests.tui.wizard_steps import reaches

FOLDER = ComparisonFolder(Path("/comparisons/20260101-000000-compare-abcd"))


class Arena:
    """Stands in for the checking and starting of comparisons, and keeps what was asked."""

    def __init__(self) -> None:
        self.wanted: list[Wanted] = []
        self.created: list[CheckedComparison] = []
        self.directed: list[ComparisonFolder] = []
        self.refuses = ""
        self.refuses_start = ""
        self.go_on = threading.Event()
        self.go_on.set()

    def check(self, wanted: Wanted) -> CheckedComparison:
        self.wanted.append(wanted)
        assert self.go_on.wait(20)
        if self.refuses:
            raise Refusal(self.refuses)
        made = made_up(*wanted.contestants)
        return CheckedComparison(
            asked=Asked(contestants=tuple(wanted.contestants), seeds=wanted.seeds, steps=80, trial_steps=10),
            recipes=made.recipes,
            shared=next(iter(wanted.contestants.values())),
            held_out=40,
            remarks=("what \x1b[2J people should know",),
            seconds=None,
            disk_bytes=2**30,
            describe=lambda: pytest.fail("nothing is made here"),
        )

    def create(self, checked: CheckedComparison) -> ComparisonFolder:
        self.created.append(checked)
        return FOLDER

    def start(self, folder: ComparisonFolder) -> None:
        if self.refuses_start:
            raise Refusal(self.refuses_start)
        self.directed.append(folder)


@pytest.fixture
def arena(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arena:
    """Give a home of its own, checks that pass, and a start that starts nothing."""
    monkeypatch.setenv("PEGBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(screen, "findings", lambda recipe: ())
    monkeypatch.setattr(screen, "disk_need", lambda *given: NEED)
    stands_in = Arena()
    monkeypatch.setattr(working, "check_comparison", stands_in.check)
    monkeypatch.setattr(working, "create_comparison", stands_in.create)
    monkeypatch.setattr(working, "start_director", stands_in.start)
    return stands_in


def words(app: StepApp) -> str:
    return " ".join(drawn(app).replace("│", " ").split())


async def press(pilot: Pilot[Any], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


def chosen_line(app: StepApp) -> str:
    option = app.screen.query_one(CompareList).highlighted_option
    return "" if option is None else str(option.id)


@SIZES
def test_methods_to_compare_are_drawn(snap_compare: Any, arena: Arena, size: tuple[int, int]) -> None:
    assert snap_compare(app_of(), terminal_size=size, run_before=pressed("m", "down", "down", "down", "space"))


def test_collected_recipes_to_compare_are_drawn(snap_compare: Any, arena: Arena) -> None:
    comparison.add(Here().settled(draft(method="dora")).recipe)
    comparison.add(Here().settled(draft(method="rslora")).recipe)
    assert snap_compare(app_of(), terminal_size=(80, 24), run_before=pressed("end", "enter"))


async def test_methods_are_chosen_by_keys_and_compared_after_a_look_at_the_plan(arena: Arena) -> None:
    app = app_of(values={"training.epochs": 5.0})
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "m", "right", "right", "down", "enter", "down", "down", "down")
        assert chosen_line(app) == "method:dora"
        await press(pilot, "space", "tab", *"500", "shift+tab", "s")
        assert isinstance(app.screen, ConfirmScreen)
        assert "lora, dora (lora) on model-8b" in words(app)
        assert "Mind: what \\x1b[2J people should know" in words(app)
        assert arena.created == []
        await press(pilot, "y")
        assert isinstance(app.screen, ReviewStep)
        assert app.began == [FOLDER]
        assert not app.ended_draft, "the draft's own run may still be wanted"
    (wanted,) = arena.wanted
    assert [*wanted.contestants] == ["lora", "dora"]
    assert wanted.seeds == (42, 43, 44, 45, 46)
    assert not wanted.search
    assert wanted.budget is not None
    assert wanted.budget.steps == 500
    assert wanted.gpus == ("GPU-2",), "it runs on the card that was advised for"
    assert {one.training.epochs for one in wanted.contestants.values()} == {5.0}
    assert arena.directed == [FOLDER]


async def test_methods_are_chosen_by_mouse(arena: Arena) -> None:
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "m")
        for line in (0, 1, 4):
            await pilot.click(CompareList, offset=(6, line))
            await settled(pilot)
        found = app.screen.query_one(CompareList)
        assert (found.seeds, found.search, found.chosen) == (4, False, ["lora", "dora"])
        await pilot.click(CompareList, offset=(6, 4))
        await settled(pilot)
        assert found.chosen == ["lora"]


async def test_one_method_is_nothing_to_compare(arena: Arena) -> None:
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "m", "s")
        assert "! Choose two methods at least" in words(app)
        assert isinstance(app.screen, CompareScreen)
        await press(pilot, "tab")
        offered = [(part.key, part.does) for part in parts_of(app.screen) if part.does == "Start"]
        assert offered == [("enter", "Start")], "s is a letter there"
        await press(pilot, "shift+tab", "down", "down", "down", "space")
        assert "Choose two methods" not in words(app)
        await press(pilot, "escape")
        assert isinstance(app.screen, ReviewStep)
    assert arena.wanted == []


async def test_what_would_be_refused_is_said_and_the_choice_stays(arena: Arena) -> None:
    arena.refuses = "the budget \x1b[2J is too small."
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "m", "down", "down", "down", "space", "tab", *"5", "enter")
        assert "! the budget \\x1b[2J is too small." in words(app)
        found = app.screen.query_one(CompareList)
        assert found.chosen == ["lora", "adalora"]
        await press(pilot, "backspace", *"soon", "enter")
        assert "! Budget soon: expected a time" in words(app)
        arena.refuses = ""
        await press(pilot, *["backspace"] * 4, "enter", "n")
        assert isinstance(app.screen, CompareScreen)
        assert found.chosen == ["lora", "adalora"]
    assert arena.created == []


async def test_a_second_start_waits_for_the_first_look(arena: Arena) -> None:
    arena.go_on.clear()
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "m", "down", "down", "down", "space")
        await pilot.press("s", "s", "s")
        await reaches(pilot, lambda: "Looking at model, rows and disk for every contestant" in words(app))
        arena.go_on.set()
        await settled(pilot)
        assert isinstance(app.screen, ConfirmScreen)
    assert len(arena.wanted) == 1


async def test_a_director_that_does_not_take_it_is_said_and_trying_again_works(arena: Arena) -> None:
    arena.refuses_start = "no process can be started."
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        for _ in range(2):
            await press(pilot, "m", "down", "down", "down", "space", "s", "y")
            if arena.refuses_start:
                assert "! no process can be started." in " ".join(left(app).split())
                assert app.began == []
            arena.refuses_start = ""
        assert app.began == [FOLDER]


async def test_methods_that_cannot_be_used_are_passed_over_and_each_line_explains_itself(arena: Arena) -> None:
    app = app_of(values={"model.quantization": "nf4"})
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await press(pilot, "m")
        found = app.screen.query_one(CompareList)
        cannot = [option for option in found.options if option.disabled]
        assert any("full" in str(option.prompt) for option in cannot)
        titles = set()
        for _ in range(4):
            shown = explained(app.screen)
            assert shown is not None
            titles.add(shown.title)
            await press(pilot, "down")
        assert len(titles) == 4
        await press(pilot, "tab")
        shown = explained(app.screen)
        assert shown is not None
        assert shown.title == "Budget"


async def test_a_card_that_is_planned_for_is_not_what_it_runs_on(arena: Arena) -> None:
    app = app_of(planned=PlannedCard(gpu="RTX 4090"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "m")
        await pilot.press("down", "down", "down", "space", "s")  # as they come from a person who knows them
        await settled(pilot)
        await press(pilot, "y")
        assert app.began == [FOLDER]
    assert arena.wanted[0].gpus == ()


async def test_collected_recipes_are_compared_and_one_is_taken_out(arena: Arena) -> None:
    comparison.add(
        msgspec.structs.replace(Here().settled(draft(method="dora")).recipe, rows=Rows(file="/tmp/rows.jsonl"))
    )
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await press(pilot, "end", "enter")
        assert "! One recipe is nothing to compare" in " ".join(left(app).split())
        await press(pilot, "c")
        assert "01 dora" in drawn(app)
        assert "02 lora" in drawn(app)
        await press(pilot, "c")
        assert "this very recipe already" in " ".join(left(app).split())
        await press(pilot, "end", "enter")
        assert isinstance(app.screen, CompareScreen)
        assert "01 dora, rank 16" in words(app)
        await press(pilot, "s", "y")
        assert app.began == [FOLDER]
        assert app.ended_draft, "it was one of them"
        assert comparison.collected()[0] == ()
    (wanted,) = arena.wanted
    assert [*wanted.contestants] == ["dora", "lora"]


async def test_a_collected_recipe_is_taken_out_again(arena: Arena) -> None:
    comparison.add(Here().settled(draft(method="dora")).recipe)
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await press(pilot, "end", "up", "enter", "y")
        assert comparison.collected()[0] == ()


async def test_a_comparison_without_the_draft_is_started_and_the_draft_lives_on(arena: Arena) -> None:
    comparison.add(Here().settled(draft(method="dora")).recipe)
    comparison.add(Here().settled(draft(method="rslora")).recipe)
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await press(pilot, "end", "enter", "s", "n", "escape")
        assert app.began == []
        await press(pilot, "end", "enter", "s", "y")
        assert app.began == [FOLDER]
        assert not app.ended_draft
        assert comparison.collected()[0] == ()
