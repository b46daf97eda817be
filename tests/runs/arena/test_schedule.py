"""What is run next in a comparison."""

from __future__ import annotations

import math

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox_methods.recipe import Evaluation, Judging
from pegbox_runs.arena.entries import Entry, Outcome, entry_recipe
from pegbox_runs.arena.schedule import (
    FACTORS,
    KEPT,
    TRIAL_SHARE,
    all_entries_count,
    choice_rows,
    chosen_rate,
    due,
    failed_final,
    is_over,
    out_of,
    total_steps,
)
from tests.runs.arena.made_up_comparisons import comparison, done, failed, losses, played


def judged_by_rate(best: float):
    def play(entry: Entry) -> Outcome:
        return done(entry, losses(*[10 + abs(math.log(entry.rate / best))] * 4))

    return play


def test_every_contestant_gets_the_same_tries_before_any_training_counts():
    game = comparison("lora", "dora", seeds=(1, 2))
    outcomes, order = played(game, judged_by_rate(3e-3))
    kinds = [(entry.rung, entry.contestant) for entry in order]
    assert kinds[:6] == [(0, "lora")] * 3 + [(0, "dora")] * 3
    assert kinds[6:10] == [(1, "lora")] * 2 + [(1, "dora")] * 2
    assert [(entry.contestant, entry.seed) for entry in order[10:]] == [
        ("lora", 1),
        ("dora", 1),
        ("lora", 2),
        ("dora", 2),
    ]
    assert len(order) == all_entries_count(game)
    assert is_over(game, outcomes)


def test_the_rate_of_the_lowest_loss_is_taken_and_steps_add_up():
    game = comparison("lora", seeds=(1, 2, 3))
    outcomes, order = played(game, judged_by_rate(3e-3))
    assert chosen_rate("lora", game, outcomes) == 1e-3 * FACTORS[-1]
    assert {entry.rate for entry in order if entry.rung is None} == {1e-3 * FACTORS[-1]}
    assert sum(entry.steps for entry in order) == total_steps(1, 3, 80, 10, search=True)
    assert [entry.steps for entry in order if entry.rung == 1] == [20] * KEPT
    assert total_steps(1, 0, 80, 1, search=True) == TRIAL_SHARE


def test_every_entry_is_judged_with_its_last_weights_so_that_none_is_flattered_by_the_choice():
    game = comparison("lora")
    _, order = played(game, judged_by_rate(1e-3))
    recipes = [entry_recipe(entry, game.recipes["lora"]) for entry in order]
    assert {one.evaluation.keep for one in recipes} == {"last"}
    assert [one.training.max_steps for one in recipes] == [entry.steps for entry in order]


def test_only_with_a_budget_of_seconds_one_try_is_judged_as_a_training_that_counts_is():
    judging = Judging(rows=True, general="bundled", metrics=("exact-match",))
    game = comparison("lora", paced=80, budget_seconds=100.0)
    changes = {"judging": judging, "evaluation": Evaluation(sample_tokens=7)}
    recipe = msgspec.structs.replace(game.recipes["lora"], **changes)
    _, order = played(game, judged_by_rate(1e-3))
    timed = {entry.id: entry_recipe(entry, recipe, timed=True) for entry in order}
    (own,) = [entry.id for entry in order if entry.rung == 0 and entry.rate == 1e-3]
    whole = {id_ for id_, one in timed.items() if one.judging == judging and one.evaluation.sample_tokens == 7}
    assert whole == {own, *(entry.id for entry in order if entry.rung is None)}
    tries = [entry for entry in order if entry.rung is not None]
    assert not any(entry_recipe(entry, recipe).judging.metrics for entry in tries)
    assert not any(timed[entry.id].judging.general for entry in tries if entry.id != own)


def test_without_a_search_nothing_is_tried():
    game = comparison("lora", "dora", search=False)
    _, order = played(game, judged_by_rate(3e-3))
    assert [entry.rung for entry in order] == [None, None]
    assert {entry.rate for entry in order} == {1e-3}


def test_a_rate_that_blows_up_is_only_a_bad_rate():
    game = comparison("lora")

    def play(entry: Entry) -> Outcome:
        if entry.rate > 2e-3:
            return failed(entry, "the loss became nan", diverged=True)
        return judged_by_rate(1e-3)(entry)

    outcomes, order = played(game, play)
    assert out_of("lora", game, outcomes) is None
    assert chosen_rate("lora", game, outcomes) == 1e-3
    assert len(order) == 6


def test_one_rate_that_is_left_is_tried_once_more_and_taken():
    game = comparison("lora")
    outcomes, order = played(
        game,
        lambda entry: (
            judged_by_rate(1e-3)(entry) if entry.rate < 5e-4 else failed(entry, "the loss became nan", diverged=True)
        ),
    )
    assert [entry.rung for entry in order] == [0, 0, 0, 1, None]
    assert is_over(game, outcomes)


def test_a_contestant_whose_every_rate_blows_up_is_out_and_the_others_go_on():
    game = comparison("bad", "good")
    outcomes, order = played(
        game,
        lambda entry: failed(entry, "nan", diverged=True) if entry.contestant == "bad" else judged_by_rate(1e-3)(entry),
    )
    assert out_of("bad", game, outcomes) == "nan"
    assert [entry.contestant for entry in order if entry.rung is None] == ["good"]
    assert is_over(game, outcomes)


def test_any_other_failure_takes_the_contestant_out_at_once():
    game = comparison("bad", "good")
    outcomes, order = played(
        game, lambda entry: failed(entry, "no memory") if entry.contestant == "bad" else judged_by_rate(1e-3)(entry)
    )
    assert sum(entry.contestant == "bad" for entry in order) == 1
    assert out_of("bad", game, outcomes) == "no memory"


def test_who_has_a_seed_and_loses_another_stays_and_runs_no_more():
    game = comparison("a", "b", seeds=(1, 2, 3), search=False)
    outcomes, order = played(game, lambda entry: failed(entry) if entry.id == "a.seed-2" else done(entry, losses(1.0)))
    assert out_of("a", game, outcomes) is None
    assert failed_final("a", game, outcomes) == outcomes["a.seed-2"]
    assert [entry.id for entry in order] == ["a.seed-1", "b.seed-1", "a.seed-2", "b.seed-2", "b.seed-3"]
    assert is_over(game, outcomes)


def test_what_was_stopped_is_due_again_and_what_is_done_never():
    game = comparison("lora", search=False)
    entry = due(game, {})[0]
    stopped = Outcome(entry=entry, state="stopped")
    assert due(game, {entry.id: stopped}) == [entry]
    assert due(game, {entry.id: done(entry, losses(1.0))}) == []


def test_a_try_that_is_run_again_later_changes_no_rate_that_trainings_have_begun_with():
    game = comparison("lora", seeds=(1, 2))
    outcomes, _ = played(game, judged_by_rate(1e-3), most=6)
    rate = chosen_rate("lora", game, outcomes)
    trial = next(one for one in outcomes.values() if one.entry.rung == 1 and one.entry.rate != rate)
    outcomes[trial.entry.id] = done(trial.entry, losses(0.1, 0.1, 0.1, 0.1))
    assert chosen_rate("lora", game, outcomes) == rate
    assert [entry.rate for entry in due(game, outcomes)] == [rate]


def test_a_training_whose_folder_is_there_and_never_began_decides_no_rate():
    game = comparison("lora")
    outcomes, _ = played(game, judged_by_rate(3e-3), most=5)
    guess = Entry(contestant="lora", seed=1, steps=80, rate=1e-3)
    outcomes[guess.id] = Outcome(entry=guess, state="new")
    assert [entry.rate for entry in due(game, outcomes)] == [3e-3]


def test_a_rate_has_the_digits_that_a_person_would_write():
    game = comparison("lora", rates={"lora": 2e-4})
    assert [entry.rate for entry in due(game, {})] == [6e-5, 2e-4, 6e-4]
    given_in_full = comparison("lora", rates={"lora": 0.00012345})
    assert due(given_in_full, {})[1].rate == 0.00012345


def test_with_a_budget_of_time_nothing_counts_before_the_pace_is_known():
    game = comparison("lora", search=False, budget_seconds=60.0)
    outcomes, order = played(game, judged_by_rate(1e-3))
    assert [entry.rung for entry in order] == [0]
    assert not is_over(game, outcomes)
    paced = comparison("lora", search=False, budget_seconds=60.0, paced=33)
    assert [(entry.rung, entry.steps) for entry in due(paced, outcomes)] == [(None, 33)]


def test_with_a_budget_of_time_and_nobody_left_it_is_over():
    game = comparison("lora", search=False, budget_seconds=60.0)
    outcomes, _ = played(game, lambda entry: failed(entry))
    assert is_over(game, outcomes)


def test_a_quarter_of_the_rows_choose_where_there_are_enough():
    assert choice_rows(39, search=True) == frozenset()
    assert choice_rows(400, search=False) == frozenset()
    assert len(choice_rows(400, search=True)) == 100


def test_rates_are_chosen_by_the_rows_that_choose_alone():
    game = comparison("lora")
    choosing = choice_rows(40, search=True)

    def play(entry: Entry) -> Outcome:
        low, high = (1.0, 50.0) if entry.rate == 1e-3 else (2.0, 1.0)
        return done(entry, losses(*[low if place in choosing else high for place in range(40)]))

    outcomes, _ = played(game, play)
    assert chosen_rate("lora", game, outcomes) == 1e-3


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_fails_or_stops_no_entry_is_counted_twice_and_all_ends(data):
    names = data.draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True))
    game = comparison(*names, seeds=range(data.draw(st.integers(1, 3))), search=data.draw(st.booleans()))
    outcomes: dict[str, Outcome] = {}
    finished: list[str] = []
    for _ in range(400):
        wanted = due(game, outcomes)
        if not wanted:
            break
        entry = data.draw(st.sampled_from(wanted))
        what = data.draw(st.sampled_from(["done", "done", "done", "stopped", "diverged", "failed"]))
        if what == "done":
            outcomes[entry.id] = done(entry, losses(*data.draw(st.lists(st.floats(0.1, 90), min_size=3, max_size=3))))
        elif what == "stopped":
            outcomes[entry.id] = Outcome(entry=entry, state="stopped")
        else:
            outcomes[entry.id] = failed(entry, diverged=what == "diverged")
        if outcomes[entry.id].over:
            finished.append(entry.id)
    assert is_over(game, outcomes)
    assert len(finished) == len(set(finished))
    for name in names:
        mine = [one for one in outcomes.values() if one.entry.contestant == name and one.state == "done"]
        assert len({one.entry.rate for one in mine if one.entry.rung is None}) <= 1
        if out_of(name, game, outcomes) is None and failed_final(name, game, outcomes) is None:
            assert sum(one.entry.rung is None for one in mine) == len(game.asked.seeds)
    assert msgspec.json.decode(msgspec.json.encode(list(outcomes.values())), type=list[Outcome]) == list(
        outcomes.values()
    )
