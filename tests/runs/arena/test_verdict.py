"""Who is better than whom, and how often that is said wrongly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pegbox_runs.arena.verdict.chance import Estimate, SameRows, t_quantile
from pegbox_runs.arena.verdict.groups import Verdict, verdict_of
from tests.runs.arena.simulated_comparisons import Design, rates, simulate, varied


def judged_rows(losses: dict[str, np.ndarray], tokens: np.ndarray | None = None, assumed: float = 0.0) -> Verdict:
    """A verdict on contestants whose losses per row are given, (seeds, rows)."""
    rows = next(iter(losses.values())).shape[1]
    weights = np.ones(rows) if tokens is None else tokens
    same = SameRows(weights, losses, (1,))
    return verdict_of(same, tuple(losses), {name: name for name in losses}, dict.fromkeys(losses, assumed), rows)


def noisy(level: float, seed: int, *, seeds: int = 3, rows: int = 60, spread: float = 0.05) -> np.ndarray:
    return level + np.random.default_rng(seed).normal(0, spread, (seeds, rows))


# Source: any table of Student's t, as Abramowitz and Stegun 1964, table 26.10.
@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (None, 1.960)]
)
def test_quantiles_of_t_are_those_of_the_tables(freedom, expected):
    assert t_quantile(0.05, freedom) == pytest.approx(expected, abs=6e-4)


def test_quantiles_of_t_hold_far_out_and_never_fall_with_fewer_degrees():
    assert t_quantile(0.001, 5) == pytest.approx(6.869, abs=1e-3)
    quantiles = [t_quantile(0.01, freedom) for freedom in (1, 2, 5, 20, 100, 499, 500, None)]
    assert quantiles == sorted(quantiles, reverse=True)


def test_of_200_comparisons_without_a_difference_at_most_7_in_100_call_a_winner():
    found = rates([simulate(design, seed) for seed, design in enumerate(varied(200, 8))])
    print(found)
    assert found.winners <= 0.07
    assert 0.92 <= found.covered <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
@pytest.mark.parametrize("contestants", [2, 3, 4])
def test_no_number_of_contestants_and_seeds_calls_winners_more_often(contestants, seeds):
    found = rates([simulate(Design(contestants, seeds, 20 + 28 * (seed % 11)), seed) for seed in range(400)])
    print(found)
    assert found.winners <= 0.07
    assert found.covered >= 0.92


@pytest.mark.parametrize("rows", [2, 3, 5, 9])
def test_few_rows_make_wide_ranges_and_not_wrong_ones(rows):
    found = rates([simulate(Design(2, 3, rows), seed) for seed in range(150)])
    assert found.winners <= 0.07
    assert found.covered >= 0.92


def test_with_naive_ranges_the_simulation_would_find_the_fault(monkeypatch):
    monkeypatch.setattr(Estimate, "reach", lambda self, level=0.05: (self.down / 2, self.up / 2))
    found = rates([simulate(design, seed) for seed, design in enumerate(varied(60, 8))])
    assert found.winners > 0.07
    assert found.covered < 0.92


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_contestant_that_is_clearly_worse_is_found_out(seeds):
    found = rates([simulate(Design(3, seeds, 100, worse=0.4), seed) for seed in range(40)])
    assert found.last_apart >= 0.95


def test_a_skewed_range_is_held_against_zero_on_the_side_where_zero_is():
    above = Estimate(value=1.0, down=2.0, up=0.5, rows=100, seeds_error=0.0, seeds_freedom=2)
    below = Estimate(value=-1.0, down=2.0, up=0.5, rows=100, seeds_error=0.0, seeds_freedom=2)
    assert not above.is_beyond_chance()
    assert below.is_beyond_chance()
    assert (below.interval.low, below.interval.high) == (-3.0, -0.5)


def test_the_same_losses_under_two_names_are_tied_and_ranked_as_they_were_named():
    losses = noisy(1.0, 1)
    found = judged_rows({"b": losses, "a": losses.copy(), "worse": losses + 0.5})
    assert found.groups == (("b", "a"), ("worse",))
    assert found.winner is None
    assert found.places == {"b": 1, "a": 1, "worse": 3}


def test_a_difference_that_rounding_makes_is_none():
    losses = np.ones((3, 50))
    assert judged_rows({"a": losses, "b": losses + 1e-8}).groups == (("a", "b"),)


def test_a_clear_best_wins_and_the_others_are_grouped_behind_it():
    found = judged_rows({"a": noisy(1.2, 1), "b": noisy(1.0, 2), "c": noisy(1.201, 3), "d": noisy(1.5, 4)})
    assert found.winner == "b"
    assert found.order == ("b", "a", "c", "d")
    assert found.groups == (("b",), ("a", "c"), ("d",))
    assert found.places == {"b": 1, "a": 2, "c": 2, "d": 4}
    assert {(pair.first, pair.other) for pair in found.pairs} >= {("b", "a"), ("b", "d"), ("a", "c"), ("a", "d")}


def test_one_whose_seeds_scatter_is_tied_with_the_best_though_a_steadier_one_before_it_is_not():
    wild = noisy(5.0, 3) + np.array([[-6.0], [0.0], [6.0]])
    found = judged_rows({"best": noisy(1.0, 1), "next": noisy(1.2, 2), "wild": wild})
    assert found.order == ("best", "next", "wild")
    assert found.groups == (("best", "wild"), ("next",))
    assert found.winner is None


def test_alone_nobody_wins_and_a_single_row_tells_nothing():
    assert judged_rows({"a": noisy(1.0, 1)}).winner is None
    assert judged_rows({"a": noisy(1.0, 1)}).groups == (("a",),)
    found = judged_rows({"a": noisy(2.0, 1, rows=1), "b": noisy(1.0, 1, rows=1)})
    assert found.order == ("b", "a")
    assert (found.groups, found.pairs, found.winner) == ((), (), None)


def test_the_chance_of_the_seeds_widens_what_many_rows_would_tell():
    steady, scattered = noisy(1.0, 1, rows=2000), noisy(1.05, 2, rows=2000)
    assert judged_rows({"a": steady, "b": scattered}).winner == "a"
    scattered = scattered + np.array([[-0.1], [0.0], [0.1]])
    assert judged_rows({"a": steady, "b": scattered}).winner is None


def test_one_seed_says_no_more_than_what_is_assumed_allows():
    one, other = noisy(1.0, 1, seeds=1, rows=2000), noisy(1.05, 2, seeds=1, rows=2000)
    assert judged_rows({"a": one, "b": other}, assumed=0.001).winner == "a"
    assert judged_rows({"a": one, "b": other}, assumed=0.05).winner is None


def test_a_difference_that_one_row_makes_is_chance():
    losses = np.ones((3, 100))
    lucky = losses.copy()
    lucky[:, 7] -= 0.9
    assert judged_rows({"a": lucky, "b": losses}).winner is None


def test_rows_that_hold_most_of_the_tokens_count_as_few():
    tokens = np.array([1000.0, 1000.0, *[1.0] * 98])
    found = SameRows(tokens, {"a": np.ones((3, 100))}, (1,)).estimate("a")
    assert 2 <= found.rows < 3
    even = SameRows(np.ones(100), {"a": np.ones((3, 100))}, (1,)).estimate("a")
    assert even.rows == pytest.approx(100)


def test_holm_asks_more_of_each_where_many_are_compared():
    # Each other is worse by about 2.3 of its standard errors: beyond 5 %, not beyond 5 % / 20.
    rows = 400
    best = np.zeros((1, rows))
    others = {}
    for place in range(20):
        drawn = np.random.default_rng(place).normal(0, 1, (1, rows))
        drawn = (drawn - drawn.mean()) / drawn.std()
        others[f"c{place:02}"] = drawn + 2.3 / math.sqrt(rows)
    assert judged_rows({"best": best, "c00": others["c00"]}).winner == "best"
    assert set(judged_rows({"best": best, **others}).groups[0]) == {"best", *others}


def test_the_same_again_gives_the_same_bits_and_other_contestants_change_nothing():
    losses = {"a": noisy(1.0, 1), "b": noisy(1.02, 2)}
    tokens = np.arange(1.0, 61.0)
    first, again = (SameRows(tokens, losses, (1, 2)).difference("a", "b") for _ in range(2))
    more = SameRows(tokens, {"c": noisy(3.0, 9), **losses}, (1, 2)).difference("a", "b")
    assert first == again == more
    assert SameRows(tokens, losses, (3,)).difference("a", "b") != first
