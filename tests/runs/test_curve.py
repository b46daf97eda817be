"""Curves: what a chart and the advisor take from a long history without walking through it."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox_runs.curve import Curve, Curves
from pegbox_runs.extremes import WIDTH

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=400)


def curve_of(values: list[float], first: int = 1, distance: int = 1) -> Curve:
    return Curve().after([first + distance * n for n in range(len(values))], values)


def long(length: int) -> Curve:
    return curve_of([math.sin(n * 0.7) + (50.0 if n == length // 3 else 0.0) for n in range(length)])


@given(VALUES, st.integers(-5, 700), st.integers(-5, 700), st.integers(1, 3))
def test_a_part_holds_the_points_between_two_steps(values: list[float], first: int, last: int, distance: int) -> None:
    curve = curve_of(values, 1, distance)
    assert curve.between(first, last) == [(step, value) for step, value in curve if first <= step <= last]


def column_of(step: int, first: int, last: int, columns: int) -> int:
    """Say in which of some columns of equal width a step lies."""
    return (step - first) * columns // (last - first + 1)


@settings(max_examples=200)
@given(
    st.integers(0, 3 * WIDTH**2),
    st.integers(1, 2000),
    st.integers(0, 9000),
    st.integers(1, 50),
    st.integers(1, 3),
)
def test_the_extremes_are_those_of_each_column_s_points(
    length: int, first: int, wide: int, columns: int, distance: int
) -> None:
    curve, last = curve_of([(n * 7919) % 1009 for n in range(length)], 1, distance), first + wide
    expected: list[list[float]] = [[] for _ in range(columns)]
    for step, value in curve.between(first, last):
        expected[column_of(step, first, last, columns)].append(value)
    found = curve.extremes(first, last, columns)
    assert found == [(min(part), max(part)) if part else None for part in expected]
    for mean, span in zip(curve.means(first, last, columns), found, strict=True):
        assert (mean is None) == (span is None)
        assert mean is None or span is None or span[0] <= mean <= span[1]


def test_no_peak_is_lost_in_a_long_run() -> None:
    length = 100_000
    curve = long(length)
    spans = curve.extremes(1, length, 80)
    assert len(spans) == 80
    highest = [span[1] for span in spans if span is not None]
    assert max(highest) > 49
    assert sum(value > 40 for value in highest) == 1


def test_the_extremes_grow_with_the_curve_and_a_branch_has_its_own() -> None:
    curve = long(5000)
    before = curve.extremes(1, 6000, 7)
    longer = curve.after(list(range(5001, 6001)), [99.0] * 1000)
    assert longer.extremes(1, 6000, 7)[-1] == (99.0, 99.0)
    assert curve.extremes(1, 6000, 7) == before
    back = longer.until(4000)
    anew = back.after(list(range(4001, 9001)), [-7.0] * 5000)
    assert anew.extremes(5000, 9000, 1) == [(-7.0, -7.0)]
    assert longer.extremes(5001, 6000, 1) == [(99.0, 99.0)]
    assert back.extremes(3000, 9000, 1) == [(min(back.last(1001)), max(back.last(1001)))]


def test_one_thread_may_look_while_another_lets_it_grow() -> None:
    newest = [long(1)]
    over = threading.Event()
    wrong: list[object] = []

    def look() -> None:
        while not over.is_set():
            curve = newest[0]
            (span,) = curve.extremes(1, len(curve), 1)
            if span != (1.0, float(len(curve))):
                wrong.append((span, len(curve)))

    newest[0] = curve_of([1.0])
    lookers = [threading.Thread(target=look) for _ in range(2)]
    for thread in lookers:
        thread.start()
    for _ in range(300):
        begin = len(newest[0]) + 1
        newest[0] = newest[0].after(list(range(begin, begin + 50)), [float(n) for n in range(begin, begin + 50)])
    over.set()
    for thread in lookers:
        thread.join()
    assert wrong == []


def test_several_curves_share_their_steps_and_stay_apart() -> None:
    both = Curves(2).after([1, 2, 3], [1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    assert list(both[0]) == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert list(both[1].values) == [10.0, 20.0, 30.0]
    assert both.until(2)[1].last(9) == [10.0, 20.0]
    assert both == Curves(2).after([1, 2, 3], [1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    assert both != both.until(2)
    assert both != Curves(2).after([1, 2, 3], [1.0, 2.0, 3.0], [10.0, 20.0, 31.0])
    assert both != Curves(1).after([1, 2, 3], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="argument"):
        both.after([4], [1.0])


@given(VALUES, st.integers(-3, 500))
def test_the_nearest_point_is_the_nearest(values: list[float], step: int) -> None:
    curve = curve_of(values, 1, 2)
    found = curve.nearest(step)
    assert (found is None) == (not values)
    if found is not None:
        assert found in list(curve)
        assert abs(found[0] - step) == min(abs(known - step) for known in curve.steps)
    assert curve.ends == ((1, 2 * len(values) - 1) if values else None)
