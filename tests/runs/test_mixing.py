"""Mixing: weights and shares say how often each row of several sources is seen in an epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_runs.rows.mixing import Portion, mix
from pegbox_runs.rows.split import seeded


def keys(count: int, first: int = 0) -> Any:
    return seeded(np.arange(first, first + count, dtype=np.uint64), 0)


def test_a_weight_is_how_often_each_row_is_seen() -> None:
    once, often, seldom = mix([Portion(keys(100), w, None) for w in (None, 2.5, 0.25)], 42)
    assert once.copies.tolist() == [1] * 100
    assert sorted(often.copies.tolist()) == [2] * 50 + [3] * 50
    assert sorted(seldom.copies.tolist()) == [0] * 75 + [1] * 25


def test_a_share_is_of_the_whole_epoch() -> None:
    mine, general, more = mix(
        [Portion(keys(800), None, None), Portion(keys(5000, 800), None, 0.1), Portion(keys(5000, 9000), None, 0.1)], 42
    )
    assert (mine.rows, general.rows, more.rows) == (800, 100, 100)
    assert general.copies.max() == 1


def test_a_source_too_small_for_its_share_gives_all_it_has_and_says_so() -> None:
    _, general = mix([Portion(keys(900), None, None), Portion(keys(20, 900), None, 0.1)], 42)
    assert (general.rows, general.wanted) == (20, 100)


@given(st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_which_rows_are_taken_does_not_depend_on_their_order(seed: int, chance: Any) -> None:
    numbers = keys(60)
    order = list(range(60))
    chance.shuffle(order)

    def taken(rows: Any) -> dict[int, int]:
        found = mix([Portion(rows, 0.5, None)], seed)[0]
        return dict(zip(rows.tolist(), found.copies.tolist(), strict=True))

    assert taken(numbers) == taken(numbers[order])


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_taken_are_not_those_next_to_the_held_out_ones(seed: int) -> None:
    """A draw by the split's own ranks would take, of what is left, the rows of the lowest ranks."""
    numbers = keys(1000)
    copies = mix([Portion(numbers, 0.5, None)], seed)[0].copies
    lowest = np.argsort(seeded(numbers, seed))[:500]
    assert 180 < copies[lowest].sum() < 320
