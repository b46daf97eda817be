"""Contestants that lost some of their seeds."""

from __future__ import annotations

import msgspec

from pegbox_runs.arena.results import Results
from pegbox_runs.arena.verdict.summing_up import results_of
from tests.runs.arena.judged_comparisons import facts, outcomes_by_level
from tests.runs.arena.made_up_comparisons import comparison, failed


def lost(*ids: str) -> Results:
    game = comparison("a", "b", seeds=(1, 2, 3), search=False)
    outcomes = outcomes_by_level(game, {"a": 0.8, "b": 1.6})
    outcomes |= {id_: failed(outcomes[id_].entry, "the GPU fell off the bus") for id_ in ids}
    return results_of(game, outcomes, facts())


def test_one_failed_seed_throws_out_no_finished_one() -> None:
    results = lost("a.seed-3")
    a, b = results.contestants
    assert (a.name, a.place, a.standing, len(a.seeds)) == ("a", 1, "part", 2)
    assert (b.name, b.place, b.standing, len(b.seeds)) == ("b", 2, "done", 3)
    assert (results.compared_seeds, results.winner) == ((1, 2), "a")
    assert results.recommendation.startswith("Take a: ")
    assert "a failed at seed 3 (2 of 3 done): all are compared over seeds 1 and 2." in results.remarks
    assert any("the GPU fell off the bus" in remark for remark in a.remarks)


def test_who_has_no_seed_is_out() -> None:
    results = lost("a.seed-1", "a.seed-2", "a.seed-3")
    one = next(one for one in results.contestants if one.name == "a")
    assert (one.place, one.standing, one.why) == (None, "failed", "the GPU fell off the bus")
    assert results.compared_seeds == (1, 2, 3)


def test_the_record_says_the_same_twice() -> None:
    one, other = (msgspec.structs.replace(lost("a.seed-3"), made=0.0) for _ in range(2))
    assert one == other
