"""Splitting: a partition by content, whatever the order, with what belongs together on one side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox_runs.rows.split import held_out_rows, seeded

HASHES = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=60)
FEW = st.lists(st.integers(0, 8), min_size=2, max_size=60)
SEEDS = st.integers(0, 2**32 - 1)


def hashes(numbers: Any) -> Any:
    return np.array(list(numbers), dtype=np.uint64)


def sides_of(values: Any, held: Any) -> dict[int, set[bool]]:
    found: dict[int, set[bool]] = {}
    for value, side in zip(values, held, strict=True):
        found.setdefault(value, set()).add(bool(side))
    return found


@given(FEW, st.floats(0.01, 0.9), SEEDS)
def test_equal_rows_are_on_one_side_and_neither_side_is_empty(numbers: list[int], share: float, seed: int) -> None:
    held = held_out_rows(hashes(numbers), share, seed)
    assert all(len(sides) == 1 for sides in sides_of(numbers, held).values())
    assert not held.all()
    assert held.any() == (len(set(numbers)) > 1)


@given(HASHES, st.floats(0, 0.9), SEEDS, st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_the_order_of_rows_does_not_change_their_side(
    numbers: list[int], share: float, seed: int, chance: Any, grouped: bool, stratified: bool
) -> None:
    order = list(range(len(numbers)))
    chance.shuffle(order)

    def side_by_number(numbers: list[int]) -> dict[int, bool]:
        keys = hashes(numbers)
        groups = keys % np.uint64(7) if grouped else None
        strata = keys % np.uint64(5) if stratified and not grouped else None
        held = held_out_rows(keys, share, seed, groups=groups, strata=strata)
        return dict(zip(numbers, held.tolist(), strict=True))

    assert side_by_number(numbers) == side_by_number([numbers[place] for place in order])


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=60), SEEDS)
def test_groups_are_whole_and_groups_with_a_row_in_common_stay_together(rows: list[tuple[int, int]], seed: int) -> None:
    keys, groups = zip(*rows, strict=True)
    held = held_out_rows(hashes(keys), 0.3, seed, groups=hashes(groups))
    for values in (keys, groups):
        assert all(len(sides) == 1 for sides in sides_of(values, held).values())


def test_the_share_is_met_and_of_each_stratum_too() -> None:
    keys = seeded(hashes(range(10_000)), 3)
    assert held_out_rows(keys, 0.1, 42).sum() == 1000
    strata = hashes([0] * 9000 + [1] * 1000)
    held = held_out_rows(keys, 0.1, 42, strata=strata)
    assert (held[:9000].sum(), held[9000:].sum()) == (900, 100)


def test_a_stratum_too_small_to_part_is_trained_and_one_row_is_held_out_all_the_same() -> None:
    held = held_out_rows(hashes([1, 2, 3, 4]), 0.1, 42, strata=hashes([1, 2, 3, 4]))
    assert held.sum() == 1


def test_another_seed_holds_out_other_rows() -> None:
    keys = seeded(hashes(range(100)), 0)
    assert held_out_rows(keys, 0.2, 1).tolist() != held_out_rows(keys, 0.2, 2).tolist()


def test_the_hash_is_the_one_of_every_machine() -> None:
    assert seeded(hashes([0, 1]), 42).tolist() == [6332618229526065668, 17532488217563185893]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_no_rows_and_one_row_are_all_trained(share: float) -> None:
    assert not held_out_rows(hashes([]), share, 1).any()
    assert not held_out_rows(hashes([5]), share, 1).any()


@given(SEEDS)
def test_a_unit_larger_than_the_share_is_trained_if_another_can_be_held_out(seed: int) -> None:
    groups = hashes([0] * 50 + list(range(1, 51)))
    held = held_out_rows(seeded(hashes(range(100)), 0), 0.1, seed, groups=groups)
    assert held.sum() == 10
    assert not held[:50].any()


@given(SEEDS)
def test_where_all_units_are_too_large_a_smallest_one_is_held_out(seed: int) -> None:
    assert held_out_rows(hashes([1] * 80 + [2] * 20), 0.1, seed).sum() == 20


@settings(max_examples=20)
@given(st.floats(0.05, 0.9))
def test_whole_groups_come_as_near_to_the_share_as_they_can(share: float) -> None:
    groups = hashes(np.repeat(np.arange(40), 5))
    held = held_out_rows(seeded(hashes(range(200)), 0), share, 42, groups=groups)
    assert abs(held.sum() - share * 200) <= 2.5
