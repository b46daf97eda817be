"""results.json from what became of the entries."""

from __future__ import annotations

import dataclasses
import math
import time

import msgspec
import pytest

from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.entries import Entry, Outcome
from pegbox_runs.arena.results import Results, read_results, write_results
from pegbox_runs.arena.schedule import LEAST_ROWS_TO_PART, due
from pegbox_runs.arena.verdict.summing_up import Facts, results_of
from pegbox_runs.judging.judged import RowLosses
from tests.runs.arena.judged_comparisons import (
    FIGURES,
    compared,
    facts,
    judged,
    outcomes_by_level,
    row_losses,
    same_but_made,
)
from tests.runs.arena.made_up_comparisons import comparison, failed


def one_of(results: Results, name: str):
    return next(one for one in results.contestants if one.name == name)


def final(name: str, seed: int, rate: float = 1e-3) -> Entry:
    return Entry(contestant=name, seed=seed, steps=80, rate=rate)


def test_what_was_put_aside_was_time_taken_too():
    game = comparison("lora", search=False)
    facts = Facts(
        comparison="c", complete=False, machine="", device=None, model="m", rows_file="r", version="1", remarks=()
    )
    broken = {final("lora", 1).id: failed(final("lora", 1), wall_seconds=20.0)}
    assert results_of(dataclasses.replace(game, aside_seconds=50.0), broken, facts).wall_seconds == 70.0


def test_a_whole_comparison_fills_everything_in():
    general = {"general_before": row_losses(3.0, 20), "general_after": row_losses(3.2, 20)}
    answers = {"scores": {"token-f1": (0.5, 1.0, 0.0, 0.5)}, "scores_before": {"token-f1": (0.0, 0.5, 0.0, 0.1)}}
    results = compared({"lora": 1.2, "dora": 1.0, "ia3": 1.6}, lora=general, dora={**general, **answers})
    assert [one.name for one in results.contestants] == ["dora", "lora", "ia3"]
    assert [one.place for one in results.contestants] == [1, 2, 3]
    assert results.groups == (("dora",), ("lora",), ("ia3",))
    assert results.winner == "dora"
    assert results.compared_seeds == results.seeds == (1, 2, 3)
    assert (results.steps, results.effective_batch, results.search, results.budget) == (80, 16, False, "")
    assert results.wall_seconds == pytest.approx(9 * 70)
    assert results.rows is not None
    assert (results.rows.held_out, results.rows.deciding, results.rows.choosing) == (100, 100, 0)
    assert (results.rows.general, results.rows.answered) == (20, 4)
    dora = one_of(results, "dora")
    assert (dora.standing, dora.rate, dora.rate_by, dora.method) == ("done", 1e-3, "recipe", "lora")
    assert dora.loss is not None
    assert dora.loss.value == pytest.approx(math.fsum(one.loss for one in dora.seeds) / 3)
    assert dora.loss.low < dora.loss.value < dora.loss.high
    assert dora.change.high < 0
    assert dora.base_loss == pytest.approx(results.base.loss)
    assert dora.forgetting.value == pytest.approx(0.2, abs=0.05)
    assert dora.scores["token-f1"].value == pytest.approx(0.5)
    assert dora.base_scores["token-f1"] == pytest.approx(0.15)
    assert (dora.process_peak, dora.adapter_bytes, dora.trainable_weights) == (2**30, 4000, 1000)
    assert dora.tokens_per_second.value == pytest.approx(100)
    assert dora.seeds[0].entry == "dora.seed-1"
    assert dora.seeds[0].curve == FIGURES["curve"]
    assert results.pareto.front == ("dora",)
    assert {pair.other for pair in results.pairs if pair.one == "dora"} == {"lora", "ia3"}
    assert all(pair.told_apart for pair in results.pairs)
    assert results.recommendation.startswith("Take dora")


def test_what_is_written_is_read_again(tmp_path):
    results = compared({"lora": 1.2, "dora": 1.0})
    write_results(results, ComparisonFolder(tmp_path))
    assert read_results(ComparisonFolder(tmp_path)) == results


def test_the_same_outcomes_give_the_same_bytes_in_whatever_order_they_were_read():
    game = comparison("lora", "dora", seeds=(1, 2), search=True)
    outcomes = outcomes_by_level(game, {"lora": 1.2, "dora": 1.19})
    turned = dict(reversed(outcomes.items()))
    assert same_but_made(results_of(game, outcomes, facts())) == same_but_made(results_of(game, turned, facts()))


def test_before_anything_is_done_there_is_a_record_already():
    game = comparison("lora", "dora", search=False)
    entry = due(game, {})[0]
    running = {entry.id: Outcome(entry=entry, state="running")}
    for outcomes, standing in (({}, "waiting"), (running, "running")):
        results = results_of(game, outcomes, facts(complete=False))
        assert one_of(results, "lora").standing == standing
        assert (results.rows, results.base, results.groups, results.winner, results.pareto) == (
            None,
            None,
            (),
            None,
            None,
        )
        assert [one.place for one in results.contestants] == [None, None]
        assert results.recommendation == ""
        assert any("0 of 2 trainings" in remark for remark in results.remarks)


def test_contestants_are_compared_over_the_seeds_that_all_have_done():
    game = comparison("lora", "dora", "late", seeds=(1, 2, 3), search=False)
    outcomes = outcomes_by_level(game, {"lora": 1.2, "dora": 1.0, "late": 1.1})
    del outcomes["late.seed-1"], outcomes["late.seed-2"], outcomes["late.seed-3"], outcomes["dora.seed-3"]
    results = results_of(game, outcomes, facts(complete=False))
    assert results.compared_seeds == (1, 2)
    assert [(one.name, one.standing, one.place) for one in results.contestants] == [
        ("dora", "part", 1),
        ("lora", "done", 2),
        ("late", "waiting", None),
    ]
    lora = one_of(results, "lora")
    assert len(lora.seeds) == 3
    assert lora.loss.value == pytest.approx((lora.seeds[0].loss + lora.seeds[1].loss) / 2)
    assert any("seeds 1, 2" in remark for remark in results.remarks)
    assert results.recommendation.startswith("So far: ")


def test_costs_are_taken_over_the_same_seeds_as_losses():
    game = comparison("lora", "dora", seeds=(1, 2, 3), search=False)
    outcomes = outcomes_by_level(game, {"lora": 1.2, "dora": 1.0})
    del outcomes["dora.seed-3"]
    dear = {"training_seconds": 600.0, "process_peak": 2**40, "device_peak": 2**40}
    outcomes["lora.seed-3"] = msgspec.structs.replace(outcomes["lora.seed-3"], **dear)
    lora = one_of(results_of(game, outcomes, facts(complete=False)), "lora")
    assert (lora.training_seconds.value, lora.tokens_per_second.value) == (60.0, 100.0)
    assert (lora.process_peak, lora.device_peak) == (2**30, None)
    assert lora.seeds[2].training_seconds == 600.0


def test_where_no_seed_is_done_by_all_whoever_has_done_the_fewest_is_left_out():
    game = comparison("a", "b", "c", seeds=(1, 2), search=False)
    outcomes = outcomes_by_level(game, {"a": 1.0, "b": 1.5, "c": 2.0})
    del outcomes["c.seed-1"]
    del outcomes["a.seed-2"], outcomes["b.seed-2"]
    results = results_of(game, outcomes, facts(complete=False))
    assert [(one.name, one.place) for one in results.contestants] == [("a", 1), ("b", 2), ("c", None)]
    assert "shares no finished seed" in " ".join(one_of(results, "c").remarks)


def test_who_failed_is_not_ranked_and_keeps_its_reason():
    game = comparison("good", "bad", seeds=(1, 2), search=False)
    outcomes = outcomes_by_level(game, {"good": 1.2, "bad": 1.0})
    del outcomes["bad.seed-2"]
    outcomes["bad.seed-1"] = failed(final("bad", 1), "CUDA out of memory", out_of_memory=True)
    results = results_of(game, outcomes, facts())
    bad = one_of(results, "bad")
    assert (bad.standing, bad.why, bad.out_of_memory) == ("failed", "CUDA out of memory", True)
    assert (bad.place, bad.group, bad.loss) == (None, None, None)
    assert not bad.seeds
    assert [one.name for one in results.contestants] == ["good", "bad"]
    assert results.compared_seeds == (1, 2)
    assert results.recommendation.startswith("Only good has a result")


def test_when_all_fail_nothing_can_be_told():
    game = comparison("a", "b", search=False)
    results = results_of(game, {entry.id: failed(entry) for entry in due(game, {})}, facts())
    assert results.recommendation == "Nothing can be told: every contestant failed."


def test_rows_that_chose_rates_are_left_out_of_the_verdict():
    game = comparison("a", "b", search=True, rates={"a": 1e-3, "b": 1e-3})
    rows = LEAST_ROWS_TO_PART * 2
    outcomes = outcomes_by_level(game, {"a": 1.0, "b": 1.5}, rows=rows)
    entry = outcomes["b.seed-1"].entry
    cheated = [0.0 if place % 4 == 3 else nats for place, nats in enumerate(row_losses(1.5, rows).nats)]
    outcomes[entry.id] = judged(entry, RowLosses(nats=tuple(cheated), tokens=row_losses(1.5, rows).tokens))
    results = results_of(game, outcomes, facts())
    assert (results.rows.choosing, results.rows.deciding) == (rows // 4, rows * 3 // 4)
    assert one_of(results, "b").loss.value == pytest.approx(one_of(results, "b").seeds[0].loss)
    assert one_of(results, "b").seeds[0].loss > 1.3 > one_of(results, "b").seeds[0].loss_all
    assert any(f"{rows // 4} of {rows} held-out rows chose" in remark for remark in results.remarks)


def test_too_few_rows_to_set_aside_are_told():
    game = comparison("a", "b", search=True)
    results = results_of(game, outcomes_by_level(game, {"a": 1.0, "b": 1.5}, rows=30), facts())
    assert results.rows.choosing == 0
    assert any("none were set aside" in remark for remark in results.remarks)


@pytest.mark.parametrize(("better", "expected"), [(0.3e-3, "search-edge"), (1e-3, "search"), (3e-3, "search-edge")])
def test_a_rate_at_the_edge_of_what_was_tried_is_told(better, expected):
    game = comparison("a", search=True)
    outcomes: dict[str, Outcome] = {}
    while wanted := due(game, outcomes):
        entry = wanted[0]
        level = 1.0 + abs(math.log(entry.rate / better))
        outcomes[entry.id] = judged(entry, row_losses(level))
    found = one_of(results_of(game, outcomes, facts()), "a")
    assert found.rate == pytest.approx(better)
    assert found.rate_by == expected
    told = " ".join(found.remarks)
    assert ("the lowest that was tried" in told) == (better == 0.3e-3)
    assert ("the highest that was tried" in told) == (better == 3e-3)
    assert (f"training.learning_rate = {better:.3g} in its recipe" in told) == (expected == "search-edge")
    assert len(found.trials) == 5
    assert [trial.steps for trial in found.trials] == [10, 10, 10, 20, 20]
    assert min(found.trials, key=lambda one: one.loss).rate == found.rate


@pytest.mark.parametrize(("at_edge", "told"), [(("a",), True), (("b",), False), (("a", "c"), True)])
def test_an_edge_of_those_that_are_first_is_told_to_everybody(at_edge, told):
    game = comparison("a", "b", "c", search=True)
    levels, outcomes = {"a": 1.0, "b": 1.8, "c": 1.0}, {}
    while wanted := due(game, outcomes):
        entry = wanted[0]
        better = 3e-3 if entry.contestant in at_edge else 1e-3
        level = levels[entry.contestant] + 0.1 * abs(math.log(entry.rate / better))
        outcomes[entry.id] = judged(entry, row_losses(level))
    remarks = [one for one in results_of(game, outcomes, facts()).remarks if "The search ended at the edge" in one]
    assert len(remarks) == told
    assert not told or f"tried for {' and '.join(at_edge)}: " in remarks[0]


def test_below_a_rate_that_blew_up_there_is_no_edge():
    game = comparison("a", search=True)
    outcomes: dict[str, Outcome] = {}
    while wanted := due(game, outcomes):
        entry = wanted[0]
        if entry.rate > 2e-3:
            outcomes[entry.id] = failed(entry, "the loss became nan", diverged=True)
        else:
            outcomes[entry.id] = judged(entry, row_losses(1.0 if entry.rate > 5e-4 else 1.5))
    found = one_of(results_of(game, outcomes, facts()), "a")
    assert (found.rate, found.rate_by) == (1e-3, "search")
    assert [(trial.loss is None, trial.why) for trial in found.trials][2] == (True, "diverged")


def test_other_rows_are_not_compared():
    game = comparison("a", "b", "odd", search=False)
    outcomes = outcomes_by_level(game, {"a": 1.0, "b": 1.5, "odd": 0.1})
    other = row_losses(0.1, tokens=[11] * 100)
    outcomes["odd.seed-1"] = judged(final("odd", 1), other)
    results = results_of(game, outcomes, facts())
    odd = one_of(results, "odd")
    assert (odd.place, odd.loss) == (None, None)
    assert "other numbers of labelled tokens" in " ".join(odd.remarks)
    assert results.winner == "a"


@pytest.mark.parametrize("broken", [math.nan, math.inf, 1e308])
def test_losses_that_are_no_numbers_break_nothing(broken, tmp_path):
    game = comparison("a", "b", "odd", seeds=(1, 2, 3), search=False)
    outcomes = outcomes_by_level(game, {"a": 1.0, "b": 1.5, "odd": 0.1})
    rows = row_losses(0.1)
    nats = (broken, broken, *rows.nats[2:])
    outcomes["odd.seed-2"] = judged(
        final("odd", 2),
        RowLosses(nats=nats, tokens=rows.tokens),
        curve=((0, math.nan), (40, math.inf), (80, 1.0)),
    )
    results = results_of(game, outcomes, facts())
    assert results.winner == "a"
    assert one_of(results, "odd").place is None
    write_results(results, ComparisonFolder(tmp_path))
    assert read_results(ComparisonFolder(tmp_path)) == results


def test_general_rows_that_are_no_numbers_are_left_out(tmp_path):
    broken = {
        "general_before": row_losses(3.0, 20),
        "general_after": RowLosses(nats=(math.nan,) * 20, tokens=(9,) * 20),
    }
    results = compared({"a": 1.0, "b": 1.2}, a=broken)
    assert one_of(results, "a").forgetting is None
    assert one_of(results, "a").seeds[0].general is None
    write_results(results, ComparisonFolder(tmp_path))
    assert read_results(ComparisonFolder(tmp_path)) == results


@pytest.mark.parametrize("rows", [0, 1])
def test_of_one_row_or_none_nothing_can_be_told(rows):
    results = compared({"a": 1.0, "b": 1.5}, rows=rows)
    assert (results.groups, results.pairs, results.winner, results.pareto) == ((), (), None, None)
    assert [one.place for one in results.contestants] == [None, None]
    assert "Nothing can be told" in results.recommendation
    assert "nothing can be told" in results.remarks[0]
    assert all(one.loss is None or one.loss.low is None for one in results.contestants)


def test_nine_rows_tell_only_a_great_difference_and_say_so():
    assert compared({"a": 1.0, "b": 1.05}, rows=9).winner is None
    results = compared({"a": 1.0, "b": 1.9}, rows=9)
    assert results.winner == "a"
    assert any("Only 9 held-out rows" in remark for remark in results.remarks)


@pytest.mark.parametrize(("seeds", "words"), [((1,), "With one seed"), ((1, 2), "Two seeds hardly")])
def test_too_few_seeds_are_told(seeds, words):
    assert any(words in remark for remark in compared({"a": 1.0, "b": 1.5}, seeds=seeds).remarks)


def test_three_seeds_need_no_such_word():
    assert not any("standard deviation" in remark for remark in compared({"a": 1.0, "b": 1.5}).remarks)


def test_two_identical_methods_are_tied():
    game = comparison("lora", "again", seeds=(1, 2, 3), search=False)
    levels = {"lora": 1.0}
    outcomes = outcomes_by_level(comparison("lora", seeds=(1, 2, 3), search=False), levels)
    for one in list(outcomes.values()):
        twin = msgspec.structs.replace(one, entry=msgspec.structs.replace(one.entry, contestant="again"))
        outcomes[twin.entry.id] = twin
    results = results_of(game, outcomes, facts())
    assert results.groups == (("lora", "again"),)
    assert results.winner is None
    assert results.pairs[0].difference.value == 0


def test_a_packed_base_is_told_and_is_not_row_zero():
    game = comparison("qlora", "lora", search=False)
    recipe = game.recipes["qlora"]
    packed = msgspec.structs.replace(recipe, model=msgspec.structs.replace(recipe.model, quantization="nf4"))
    game = type(game)(game.asked, {**game.recipes, "qlora": packed})
    outcomes = outcomes_by_level(game, {"qlora": 1.0, "lora": 1.5})
    outcomes["qlora.seed-1"] = judged(final("qlora", 1), row_losses(1.0), row_losses(2.5))
    results = results_of(game, outcomes, facts())
    assert results.base.loss == pytest.approx(2.0, abs=0.05)
    assert one_of(results, "qlora").base_loss == pytest.approx(2.5, abs=0.05)
    assert "4 bits" in " ".join(one_of(results, "qlora").remarks)
    assert not one_of(results, "lora").remarks


def test_the_base_is_known_as_soon_as_a_try_is_done():
    game = comparison("a", "b", search=True)
    entry = due(game, {})[0]
    results = results_of(game, {entry.id: judged(entry, row_losses(1.0))}, facts(complete=False))
    assert results.base.loss == pytest.approx(2.0, abs=0.05)


def test_what_memory_changed_and_who_did_not_learn_are_told():
    results = compared({"a": 1.0, "b": 2.4}, a={"changed": ("training.micro_batch 4 to 2",)})
    assert "micro_batch 4 to 2" in " ".join(one_of(results, "a").remarks)
    assert "isn't below that of its own base model" in " ".join(one_of(results, "b").remarks)


def test_a_budget_that_shortened_it_is_told():
    game = comparison("a", "b", seeds=(1, 2, 3), search=False, budget_seconds=7200.0, paced=33)
    outcomes = outcomes_by_level(game, {"a": 1.0, "b": 1.5})
    paced = msgspec.structs.replace(game.paced, seeds=2)
    game = type(game)(game.asked, game.recipes, paced)
    results = results_of(game, outcomes, facts())
    assert results.budget == "2 h 00 min"
    assert (results.steps, results.seeds) == (33, (1, 2))
    told = " ".join(results.remarks)
    assert "trainings of 33 steps, where 80 were the most" in told
    assert "2 of 3 seeds" in told
    assert [one.standing for one in results.contestants] == ["done", "done"]


def test_a_range_of_times_needs_three_seeds():
    assert one_of(compared({"a": 1.0}, seeds=(1, 2)), "a").training_seconds.low is None
    times = one_of(compared({"a": 1.0}), "a").training_seconds
    assert (times.low, times.value, times.high) == (60, 60, 60)


def test_twenty_contestants_with_five_seeds_and_2000_rows_take_less_than_2_seconds():
    game = comparison(*(f"c{place}" for place in range(20)), seeds=range(5), search=False)
    outcomes = outcomes_by_level(game, {f"c{place}": 1.0 + place / 50 for place in range(20)}, rows=2000)
    begun = time.process_time()
    results_of(game, outcomes, facts())
    assert time.process_time() - begun < 2.0
