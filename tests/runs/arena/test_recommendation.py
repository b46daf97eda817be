"""What is recommended, and with which figures."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from pegbox_runs.arena.verdict.summing_up import results_of
from pegbox_runs.judging.judged import RowLosses
from tests.runs.arena.judged_comparisons import compared, facts, judged, outcomes_by_level, row_losses
from tests.runs.arena.made_up_comparisons import comparison


def general(rise: float) -> dict[str, Any]:
    before = row_losses(3.0, 64)
    rows = row_losses(3.0 + rise, 64, seed=2, spread=0.05)
    return {"general_before": before, "general_after": RowLosses(nats=rows.nats, tokens=before.tokens)}


def test_a_winner_is_told_with_its_loss_its_rows_and_seeds_and_the_lead():
    said = compared({"lora": 1.2, "dora": 1.0, "ia3": 1.5}).recommendation
    assert re.fullmatch(
        r"Take dora: its loss on 100 held-out rows over 3 seeds is 1\.00\d \(0\.\d+ to 1\.\d+\), lower than every "
        r"other's; that of lora, the next, is higher by 0\.2\d+ \(0\.1\d+ to 0\.2\d+\)\.",
        said,
    )


def test_of_two_the_other_is_named():
    assert "lower than lora's by 0.2" in compared({"lora": 1.2, "dora": 1.0}).recommendation


def test_of_tied_ones_the_cheapest_is_taken_with_its_costs():
    said = compared(
        {"lora": 1.003, "dora": 1.0, "ia3": 1.6},
        lora={"device_peak": 2**30},
        dora={"device_peak": 2 * 2**30, "training_seconds": 120.0},
    ).recommendation
    assert "can't be told apart on 100 held-out rows over 3 seeds" in said
    assert "may be chance" in said
    assert "Of them lora takes the least memory (1.00 GiB) and time (1 min 00 s): take lora." in said


def test_who_takes_less_of_something_else_is_named():
    said = compared(
        {"lora": 1.003, "dora": 1.0},
        dora={"device_peak": 4 * 2**30},
        lora={"device_peak": 2**30, "training_seconds": 90.0},
    ).recommendation
    assert (
        "Of them lora takes the least memory (1.00 GiB), though dora takes less time (1 min 00 s): take lora." in said
    )


def test_costs_that_differ_by_no_more_than_they_vary_speak_for_nobody():
    said = compared({"lora": 1.003, "dora": 1.0}, dora={"training_seconds": 68.0}).recommendation
    assert "No cost that was measured clearly speaks for one of them: take the one that you know best." in said


@pytest.mark.parametrize(("dearer", "clear"), [(6.2, False), (7.0, False), (7.1, True)])
def test_with_one_seed_time_speaks_only_where_it_is_half_as_much_again(dearer, clear):
    said = compared(
        {"a": 1.0, "b": 1.0}, seeds=(1,), a={"training_seconds": dearer}, b={"training_seconds": 4.7}
    ).recommendation
    assert ("take b." in said) == clear
    assert ("No cost" in said) != clear


@pytest.mark.parametrize(
    ("ones", "others", "clear"),
    [
        ((6.0, 6.1, 6.2), (5.0, 5.1, 5.2), True),
        ((6.0, 6.1, 6.2), (4.0, 4.1, 6.05), False),
        ((5.7, 5.7, 5.7), (5.0, 5.0, 5.0), False),
    ],
)
def test_times_speak_only_where_those_of_all_seeds_are_apart(ones, others, clear):
    game = comparison("a", "b", seeds=(1, 2, 3), search=False)
    outcomes = outcomes_by_level(game, {"a": 1.0, "b": 1.003})
    for name, times in (("a", ones), ("b", others)):
        for seed, seconds in enumerate(times, 1):
            one = outcomes[f"{name}.seed-{seed}"]
            outcomes[f"{name}.seed-{seed}"] = msgspec.structs.replace(one, training_seconds=seconds)
    said = results_of(game, outcomes, facts()).recommendation
    assert ("take b." in said) == clear
    assert ("No cost" in said) != clear


def test_the_size_of_an_adapter_speaks_for_the_smaller_one():
    said = compared({"a": 1.0, "b": 1.003}, seeds=(1,), b={"adapter_bytes": 3800}).recommendation
    assert "Of them b takes the least room on disk" in said
    said = compared({"a": 1.0, "b": 1.003}, seeds=(1,), b={"adapter_bytes": 3990}).recommendation
    assert "No cost" in said


def test_of_tied_ones_the_only_one_that_is_better_than_its_base_is_taken():
    levels = {"a": 1.9, "b": 1.901, "c": 1.99}
    shaky = {"training_seconds": 1.0}
    game = comparison(*levels, seeds=(1, 2, 3), search=False)
    outcomes = outcomes_by_level(game, levels, figures={"b": shaky, "c": shaky})
    for seed in (1, 2, 3):
        for name in ("b", "c"):
            entry = outcomes[f"{name}.seed-{seed}"].entry
            after = row_losses(levels[name], seed=seed + 7 * len(name), spread=2.5)
            outcomes[entry.id] = judged(entry, after, **shaky)
    results = results_of(game, outcomes, facts())
    assert set(results.groups[0]) >= {"a", "b"}
    assert results.pareto is not None
    assert results.pareto.front == ("a",)
    assert "Of them only a can be told to be better than its own base model: take a." in results.recommendation


def test_the_memory_of_a_process_speaks_for_nobody():
    levels, more = {"lora": 1.003, "dora": 1.0}, 4 * 2**30
    on_a_cpu = compared(levels, dora={"process_peak": more})
    assert "No cost that was measured" in on_a_cpu.recommendation
    assert "GiB" not in on_a_cpu.recommendation
    assert on_a_cpu.pareto is not None
    assert on_a_cpu.pareto.axes == ("loss", "time", "size")
    assert sum("as an upper bound" in remark for remark in on_a_cpu.remarks) == 1
    on_a_gpu = compared(levels, lora={"device_peak": 2**30}, dora={"device_peak": more})
    assert "Of them lora takes the least memory" in on_a_gpu.recommendation
    assert not any("upper bound" in remark for remark in on_a_gpu.remarks)


def test_one_device_peak_that_lacks_keeps_memory_out_of_it():
    said = compared({"lora": 1.003, "dora": 1.0}, lora={"device_peak": 2**20}, dora={"process_peak": 2**40})
    assert "memory" not in said.recommendation


def test_the_gap_that_is_told_is_that_of_the_one_that_is_recommended():
    said = compared({"a": 1.0, "b": 1.001, "cheap": 1.01}, seeds=(1,), cheap={"training_seconds": 10.0}).recommendation
    assert "and cheap's is higher by" in said
    assert "take cheap" in said


@pytest.mark.parametrize(("gap", "rows", "words"), [(0.03, 40, "deciding rows"), (0.0004, 60, "far more rows")])
def test_what_would_tell_the_tied_apart_is_estimated(gap, rows, words):
    said = compared({"a": 1.0, "b": 1.0 + gap}, rows=rows, seeds=(1,)).recommendation
    assert words in said


def test_identical_ones_are_the_same_and_nothing_more_is_asked_for():
    said = compared({"a": 1.0, "b": 1.0}, rows=50, **{name: {} for name in "ab"}).recommendation
    assert "can't be told apart" in said
    assert "take b" not in said
    assert "No cost that was measured clearly speaks for one of them" in said


def test_when_none_beats_the_base_none_is_recommended():
    assert compared({"a": 1.999, "b": 2.0}).recommendation.startswith("Take none of them yet: ")
    said = compared({"a": 2.3, "b": 2.5}).recommendation
    assert said.startswith("Take none of them: ")
    assert "is higher than that of its base model, 1.998" in said
    assert "by 0.30" in said


def test_a_much_cheaper_one_with_a_little_more_loss_is_named():
    dear, cheap = {"training_seconds": 600.0}, 2**30
    on_a_cpu = compared({"full": 1.0, "ia3": 1.04}, full={**dear, "process_peak": 8 * cheap}).recommendation
    assert "ia3 takes 1 min 00 s of time in place of 10 min 00 s" in on_a_cpu
    said = compared(
        {"full": 1.0, "ia3": 1.04}, full={**dear, "device_peak": 8 * cheap}, ia3={"device_peak": cheap}
    ).recommendation
    assert said.startswith("Take full")
    assert "ia3 takes 1.00 GiB of memory in place of 8.00 GiB and 1 min 00 s of time in place of 10 min 00 s" in said
    assert re.search(r"higher by 0\.0\d+ \(\d% of what the training gained\)", said)


def test_one_that_costs_much_of_the_gain_is_not():
    said = compared({"full": 1.0, "ia3": 1.4}, full={"training_seconds": 600.0}).recommendation
    assert "ia3 takes" not in said


def test_notable_forgetting_is_told_with_both_figures():
    said = compared({"a": 1.0, "b": 1.3}, a=general(0.6), b=general(0.02)).recommendation
    assert re.search(r"But a forgets more: its loss on 64 general rows rose by 0\.6\d* \(.*\), where b's changed", said)
    assert "forgets" not in compared({"a": 1.0, "b": 1.3}, a=general(0.03), b=general(0.02)).recommendation


def test_alone_there_is_nothing_to_hold_it_against():
    assert compared({"a": 1.0}).recommendation.startswith("Only a has a result, so there is nothing to hold it against")


def test_many_tied_names_are_shortened():
    said = compared({f"c{place}": 1.0 for place in range(9)}, rows=30).recommendation
    assert "and 5 others can't be told apart" in said


@pytest.mark.parametrize("seeds", [(1,), (1, 2), (1, 2, 3)])
@pytest.mark.parametrize("gap", [0.0, 0.001, 0.01, 0.1, 0.9, 1.2])
def test_no_sentence_is_without_its_figure_or_names_what_is_not_there(gap, seeds):
    said = compared({"a": 1.0, "b": 1.0 + gap, "c": 1.5}, seeds=seeds, rows=40).recommendation
    assert 1 <= len(re.findall(r"\.(?: |$)", said)) <= 4
    assert "40 held-out rows" in said
    assert "None" not in said
    assert "nan" not in said
