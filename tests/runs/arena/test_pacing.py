"""A budget of seconds, by the pace that was measured."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_runs.arena.directing.pacing import pace, seconds_left, seconds_needed, seeds_that_fit
from pegbox_runs.arena.entries import Entry, Outcome
from pegbox_runs.arena.schedule import due
from pegbox_runs.arena.spec import Comparison, Paced
from tests.runs.arena.made_up_comparisons import comparison, done, failed, losses

STEP = {"lora": 1.0, "dora": 2.0}
"""Seconds."""
OVERHEAD = 4.0


def ran(entry: Entry, **changes: Any) -> Outcome:
    seconds = STEP.get(entry.contestant, 1.0) * entry.steps
    outcome = done(entry, losses(1.0, 2.0), training_seconds=seconds, wall_seconds=seconds + OVERHEAD)
    judged = msgspec.structs.replace(outcome.judged, seconds=1.0, look_seconds=1.0)  # type: ignore[type-var]
    return msgspec.structs.replace(outcome, judged=judged, **changes)


def tried(game: Comparison) -> dict[str, Outcome]:
    """Run all tries."""
    outcomes: dict[str, Outcome] = {}
    while trials := [entry for entry in due(game, outcomes) if entry.rung is not None]:
        outcomes[trials[0].id] = ran(trials[0])
    return outcomes


def game(*names: str, budget: float, seeds: int = 1, paced: int | None = None, **asked: Any) -> Comparison:
    given = {"search": False, "steps": 1000, "budget_seconds": budget, **asked}
    return comparison(*(names or ("lora", "dora")), seeds=range(1, seeds + 1), paced=paced, **given)


def test_as_many_steps_as_fit_and_the_same_for_all() -> None:
    one = game(budget=300.0)
    outcomes = tried(one)
    spent = (10 + OVERHEAD) + (20 + OVERHEAD)
    paced = pace(one, outcomes, ())
    assert paced.seconds == pytest.approx(spent)
    # 3 more looks of a second for each training that counts
    assert paced.steps == int((300 - spent - 2 * (OVERHEAD + 3)) / 3)
    needed = seconds_needed(one, outcomes, (), paced.steps)
    assert needed <= seconds_left(one, outcomes, ()) < seconds_needed(one, outcomes, (), paced.steps + 1)


def test_more_seeds_share_the_budget() -> None:
    one, three = game(budget=900.0), game(budget=900.0, seeds=3)
    assert pace(one, tried(one), ()).steps == pytest.approx(3 * pace(three, tried(three), ()).steps, rel=0.1)


def test_never_more_steps_than_were_asked_for() -> None:
    one = game(budget=1e6)
    assert pace(one, tried(one), ()).steps == 1000


@pytest.mark.parametrize(("asked", "least"), [({}, 10), ({"trial_steps": 25}, 25), ({"steps": 8, "trial_steps": 5}, 8)])
def test_a_budget_that_is_spent_still_lets_trainings_say_something(asked: dict[str, int], least: int) -> None:
    one = game(budget=5.0, **asked)
    outcomes = tried(one)
    paced = pace(one, outcomes, ())
    assert paced.steps == least
    assert seconds_needed(one, outcomes, (), paced.steps) > seconds_left(one, outcomes, ())


def test_gpus_side_by_side_take_the_load_off_each_other() -> None:
    one = game("lora", "third", budget=300.0)
    outcomes = tried(one)
    assert pace(one, outcomes, ("0", "1")).steps == pytest.approx(2 * pace(one, outcomes, ()).steps, rel=0.1)
    three = game("lora", "third", "fourth", budget=300.0)
    outcomes = tried(three)
    steps = pace(three, outcomes, ("0", "1")).steps  # one of the GPUs takes two of them
    assert 2 * (steps + OVERHEAD + 3) <= 300 - 3 * (10 + OVERHEAD) / 2 < 2 * (steps + 1 + OVERHEAD + 3)


def test_who_is_out_takes_no_part_of_the_budget() -> None:
    one = game(budget=300.0)
    outcomes = tried(one)
    dora = next(id_ for id_, outcome in outcomes.items() if outcome.entry.contestant == "dora")
    outcomes[dora] = failed(outcomes[dora].entry)
    assert pace(one, outcomes, ()).steps > pace(one, tried(one), ()).steps * 2


def test_steps_with_which_trainings_have_begun_hold() -> None:
    one = game(budget=300.0)
    outcomes = tried(one)
    entry = Entry(contestant="lora", seed=1, steps=17, rate=1e-3)
    outcomes[entry.id] = ran(entry)
    assert pace(one, outcomes, ()).steps == 17


def test_the_loading_of_a_first_entry_is_not_taken_for_everybodys() -> None:
    searched = game("lora", budget=600.0, search=True)
    outcomes = tried(searched)
    first = next(iter(outcomes))
    slow = {**outcomes, first: msgspec.structs.replace(outcomes[first], wall_seconds=outcomes[first].wall_seconds + 30)}
    assert pace(searched, slow, ()).steps == pytest.approx(pace(searched, outcomes, ()).steps - 30, abs=1)


def longer(outcome: Outcome, *, before: float = 0.0, answers: float = 0.0) -> Outcome:
    """The same, had judging its base model and answering questions taken so long."""
    judged = outcome.judged
    assert judged is not None
    after = msgspec.structs.replace(judged.after, scores={"exact-match": (1.0,)} if answers else {})
    seconds = judged.seconds + before + answers
    judged = msgspec.structs.replace(judged, after=after, seconds=seconds, before_seconds=before)
    return msgspec.structs.replace(outcome, judged=judged, wall_seconds=outcome.wall_seconds + before + answers)


def test_judging_a_base_that_is_remembered_since_is_not_expected_again() -> None:
    one = game(budget=3600.0)
    outcomes = tried(one)
    first = next(iter(outcomes))
    slow = {**outcomes, first: longer(outcomes[first], before=30.0)}
    assert seconds_needed(one, slow, (), 20) == pytest.approx(seconds_needed(one, outcomes, (), 20))
    assert seconds_left(one, slow, ()) == pytest.approx(seconds_left(one, outcomes, ()) - 30)
    lanes = ("0", "1")
    again = seconds_needed(one, slow, lanes, 20) - seconds_needed(one, outcomes, lanes, 20)
    assert again == pytest.approx(30), "the other GPU's worker has judged none"


def test_answers_to_questions_are_reckoned_with_for_every_training_that_counts() -> None:
    one = game("a", "b", "c", "d", budget=3600.0)
    outcomes = {id_: longer(outcome, answers=300.0) for id_, outcome in tried(one).items()}
    paced = pace(one, outcomes, ())
    assert paced.steps == int((3600 - 4 * (10 + OVERHEAD + 300)) / 4 - (OVERHEAD + 3 + 300))


def test_a_search_in_which_one_try_answers_questions_tells_of_them_too() -> None:
    one = game("a", "b", budget=36000.0, search=True)
    plain = tried(one)
    own = [id_ for id_, outcome in plain.items() if outcome.entry.rung == 0 and outcome.entry.rate == 1e-3]
    assert len(own) == 2
    answered = {**plain, **{id_: longer(plain[id_], answers=300.0) for id_ in own}}
    more = seconds_needed(one, answered, (), 20) - seconds_needed(one, plain, (), 20)
    assert more == pytest.approx(2 * 300)
    blown_up = {**answered, own[1]: failed(plain[own[1]].entry, diverged=True)}
    assert seconds_needed(one, blown_up, (), 20) == pytest.approx(seconds_needed(one, answered, (), 20))


def test_what_was_put_aside_stays_spent() -> None:
    one = game(budget=300.0)
    outcomes = tried(one)
    retried = Comparison(one.asked, one.recipes, None, 50.0)
    assert seconds_left(retried, outcomes, ()) == pytest.approx(seconds_left(one, outcomes, ()) - 50)


def rounds(budget: float, seeds: int, paced: int, first: int) -> tuple[Comparison, dict[str, Outcome], Entry]:
    """A comparison of which the first seeds are done. Returns: the entry that would begin the next round, too."""
    one = game(budget=budget, seeds=seeds, paced=paced)
    outcomes = tried(one)
    for _ in range(2 * first):
        outcomes[due(one, outcomes)[0].id] = ran(due(one, outcomes)[0])
    return one, outcomes, due(one, outcomes)[0]


def test_a_further_seeds_round_begins_only_if_all_of_it_fits() -> None:
    a_round = 3 * 20 + 2 * OVERHEAD
    tries = 3 * 10 + 2 * OVERHEAD
    for budget, fits in ((tries + 2 * a_round + 1, True), (tries + 2 * a_round - 1, False)):
        one, outcomes, entry = rounds(budget, seeds=3, paced=20, first=1)
        assert entry.seed == 2
        assert seeds_that_fit(one, outcomes, (), entry) == (None if fits else 1)


def test_the_first_round_and_one_that_has_begun_always_go_on() -> None:
    one, outcomes, entry = rounds(1.0, seeds=2, paced=20, first=0)
    assert seeds_that_fit(one, outcomes, (), entry) is None
    one, outcomes, entry = rounds(1.0, seeds=2, paced=20, first=1)
    assert seeds_that_fit(one, outcomes, (), entry) == 1
    outcomes[entry.id] = ran(entry)
    assert seeds_that_fit(one, outcomes, (), due(one, outcomes)[0]) is None


def test_what_still_runs_of_the_round_before_is_reckoned_with() -> None:
    tries, lora, dora = 3 * 10 + 2 * OVERHEAD, 20 + OVERHEAD, 2 * 20 + OVERHEAD + 3  # by its tries, and 3 more looks
    for budget, seeds in ((tries + 2 * (lora + dora) + 1, None), (tries + 2 * (lora + dora) - 1, 1)):
        one, outcomes, entry = rounds(budget, seeds=2, paced=20, first=1)
        mine = next(id_ for id_ in outcomes if id_.startswith("dora.seed"))
        outcomes[mine] = Outcome(entry=outcomes[mine].entry, state="running", wall_seconds=11.0)
        assert seeds_that_fit(one, outcomes, (), entry) == seeds


def test_without_a_budget_of_seconds_nothing_is_cut() -> None:
    plain = comparison("lora", "dora", seeds=(1, 2), search=False)
    outcomes = {entry.id: ran(entry) for entry in due(plain, {})[:2]}
    assert seeds_that_fit(plain, outcomes, (), due(plain, outcomes)[0]) is None


def test_seeds_that_were_left_out_are_due_no_more() -> None:
    one = game(budget=300.0, seeds=3)
    cut = Comparison(one.asked, one.recipes, Paced(steps=20, seconds=1.0, seeds=1))
    outcomes = tried(one)
    assert {entry.seed for entry in due(cut, outcomes)} == {1}
    assert cut.asked.seeds == (1, 2, 3)


@given(
    budget=st.floats(1, 1e5),
    seeds=st.integers(1, 5),
    lanes=st.integers(0, 4),
    steps=st.integers(1, 500),
    trial=st.integers(1, 40),
)
def test_the_pace_is_within_its_bounds_whatever_the_budget(
    budget: float, seeds: int, lanes: int, steps: int, trial: int
) -> None:
    one = game(budget=budget, seeds=seeds, steps=steps, trial_steps=trial)
    outcomes = tried(one)
    gpus = tuple(str(number) for number in range(lanes))
    paced = pace(one, outcomes, gpus)
    assert min(10, steps) <= paced.steps <= steps
    if paced.steps > max(10, trial):
        assert seconds_needed(one, outcomes, gpus, paced.steps) <= seconds_left(one, outcomes, gpus)
