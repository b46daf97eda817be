"""Budgets: read as people write them, never exceeded, parted alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.asking.budget import LEAST_STEPS, LONGEST_TRY, Budget, steps_for
from pegbox_runs.arena.schedule import total_steps


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), (" 1 H 30 min ", 5400), ("1.5h", 5400), ("1h5s", 3605)],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert Budget.parse(text) == Budget(seconds=seconds)


@pytest.mark.parametrize(("text", "steps"), [("500", 500), ("500 steps", 500), ("1step", 1), (" 7 ", 7)])
def test_numbers_are_steps(text: str, steps: int) -> None:
    assert Budget.parse(text) == Budget(steps=steps)


NONSENSE = ["", " ", "0", "-5", "h", "2 days", "1m2h", "1e3", "0s", "nan", "9" * 400, "9" * 400 + "h", "½h", "1,5h"]


@pytest.mark.parametrize("text", [*NONSENSE, "\N{FULLWIDTH DIGIT FIVE}", "\x1b[2J"])
def test_anything_else_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        Budget.parse(text)
    said = refused.value.sentence
    assert 'expected a time ("2h", "90m", "1h30m", "45s") or a number of optimizer steps ("500")' in said
    assert said.isprintable()
    assert len(said) < 250


def test_without_a_budget_all_take_what_the_recipe_takes() -> None:
    plan = steps_for(400, {"lora": 1, "dora": 1}, seeds=3, search=True, budget=None)
    assert (plan.steps, plan.trial_steps, plan.search, plan.remarks) == (400, 50, True, ())


def test_tries_are_as_long_as_the_method_that_needs_most() -> None:
    plan = steps_for(100, {"lora": 1, "adalora": 20}, seeds=1, search=True, budget=None)
    assert (plan.trial_steps, plan.search) == (20, True)


def test_a_search_that_would_cost_more_than_the_trainings_is_dropped_and_it_is_said_why() -> None:
    plan = steps_for(79, {"lora": 1, "adalora": 20}, seeds=1, search=True, budget=None)
    assert (plan.steps, plan.search) == (79, False)
    assert "a try as short as adalora can make it takes 20 already" in plan.remarks[0]
    short = steps_for(19, {"lora": 1}, seeds=1, search=True, budget=None)
    assert not short.search
    assert "a training takes 19 steps." in short.remarks[0]
    unasked = steps_for(19, {"lora": 1}, seeds=1, search=False, budget=None)
    assert unasked.remarks == ()


def test_a_training_that_is_too_short_for_a_method_is_refused_without_any_budget() -> None:
    with pytest.raises(Refusal, match="this training takes 12 steps, and adalora needs at least 20 steps"):
        steps_for(12, {"lora": 1, "adalora": 20}, seeds=1, search=True, budget=None)


def test_a_budget_too_small_names_who_needs_more_and_what_would_do() -> None:
    with pytest.raises(Refusal) as refused:
        steps_for(100, {"lora": 1, "adalora": 20}, seeds=3, search=True, budget=Budget(steps=119))
    assert "it leaves 19 steps for each of 6 trainings" in refused.value.sentence
    assert "adalora needs at least 20" in refused.value.sentence
    assert "The least that would do is 120 steps" in refused.value.sentence
    assert steps_for(100, {"lora": 1, "adalora": 20}, seeds=3, search=True, budget=Budget(steps=120)).steps == 20
    with pytest.raises(Refusal, match="a training of less than 10 tells nothing of any method"):
        steps_for(100, {"lora": 1}, seeds=1, search=False, budget=Budget(steps=9))


def test_a_training_that_is_short_by_itself_needs_no_more_than_it_takes() -> None:
    assert steps_for(6, {"lora": 1}, seeds=1, search=False, budget=Budget(steps=6)).steps == 6


def test_with_too_few_steps_for_a_search_they_all_go_into_the_trainings() -> None:
    plan = steps_for(100, {"a": 1, "b": 1}, seeds=1, search=True, budget=Budget(steps=100))
    assert (plan.steps, plan.search) == (50, False)
    assert "100 steps are too few for that, with 110 there would be room" in plan.remarks[0]
    enough = steps_for(100, {"a": 1, "b": 1}, seeds=1, search=True, budget=Budget(steps=110))
    assert (enough.steps, enough.search) == (20, True)
    assert "allows 20 steps for each training; by the recipe it would take 100" in enough.remarks[0]


def test_a_budget_of_time_leaves_the_steps_to_the_pace() -> None:
    plan = steps_for(1000, {"lora": 1, "adalora": 20}, seeds=1, search=True, budget=Budget(seconds=60.0))
    assert (plan.steps, plan.trial_steps, plan.search) == (1000, 20, True)
    short = steps_for(40, {"lora": 1, "adalora": 20}, seeds=1, search=True, budget=Budget(seconds=60.0))
    assert not short.search
    assert short.remarks


@given(
    own=st.integers(1, 5000),
    least=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    seeds=st.integers(1, 5),
    search=st.booleans(),
    allowed=st.integers(1, 40_000),
)
def test_the_total_is_never_above_the_budget_and_no_longer_training_would_fit(
    own: int, least: list[int], seeds: int, search: bool, allowed: int
) -> None:
    needed = {f"c{place}": steps for place, steps in enumerate(least)}
    try:
        plan = steps_for(own, needed, seeds=seeds, search=search, budget=Budget(steps=allowed))
    except Refusal:
        shortest = max(min(LEAST_STEPS, own), *least)
        assert own < max(least) or total_steps(len(least), seeds, shortest, 1, search=False) > allowed
        return
    total = total_steps(len(least), seeds, plan.steps, plan.trial_steps, search=plan.search)
    assert total <= allowed
    assert max(least) <= plan.trial_steps
    assert max(least) <= plan.steps <= own
    assert plan.steps >= min(LEAST_STEPS, own)
    assert not plan.search or search
    assert not plan.search or LONGEST_TRY * plan.trial_steps <= plan.steps
    if plan.steps < own:
        longer = steps_for(plan.steps + 1, needed, seeds=seeds, search=plan.search, budget=None)
        assert total_steps(len(least), seeds, longer.steps, longer.trial_steps, search=plan.search) > allowed, (
            "one step more would fit"
        )
