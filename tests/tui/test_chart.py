"""The chart's picture: peaks are kept, axes are round, smoothing is right from its first point."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_methods.events import Evaluation, Memory
from pegbox_runs.curve import Curve
from pegbox_tui.chart.canvas import RAW, SMOOTHED
from pegbox_tui.chart.picture import GUTTER, Line, Plot, drawn
from pegbox_tui.chart.scale import brief, last_step, round_scale
from pegbox_tui.chart.smoothing import Smoothed
from pegbox_tui.chart.window import Window

MILLION = 1_000_000


def curve(*values: float) -> Curve:
    return Curve().after(range(1, len(values) + 1), values)


def plot(drawn_curve: Curve, *, log: bool = False, window: Window | None = None, cursor: int | None = None) -> Plot:
    ends = drawn_curve.ends or (0, 0)
    return Plot((Line(RAW, drawn_curve),), (), None, window or Window.whole(ends[1]), log, cursor=cursor)


def cells(picture: Plot, width: int = 80, height: int = 12, *, plain: bool = False) -> list[str]:
    """Draw, and give the rows without the axes."""
    return [row.plain[GUTTER:] for row in drawn(picture, width, height, ascii=plain)[:-1]]


def looked_at(step: int, loss: float) -> Evaluation:
    return Evaluation(step=step, loss=loss, perplexity=1.0, tokens=4, seconds=1.0, best=False, memory=Memory())


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize(("spike", "row"), [(9.0, 0), (-9.0, -1)])
def test_a_lone_spike_in_a_million_points_is_seen(spike: float, row: int, ascii_only: bool) -> None:
    values = [1.0] * MILLION
    values[412_345] = spike
    picture = plot(curve(*values))
    column = picture.window.column(412_346, 80 - GUTTER)
    drawn_rows = [line for line in cells(picture, plain=ascii_only) if line.strip()]
    furthest = drawn_rows[row]
    assert furthest[column] != " "
    assert len(furthest.strip()) == 1


def test_a_spike_is_kept_where_the_raw_line_is_thinned_below_the_smoothed_one() -> None:
    values = [1.0] * 100_000
    values[50_000] = 9.0
    raw = curve(*values)
    both = Plot(
        (Line(RAW, raw, thin=True), Line(SMOOTHED, curve(*[1.0] * 100_000))), (), None, Window.whole(100_000), False
    )
    (first, *_) = [line for line in cells(both) if line.strip()]
    assert len(first.strip()) == 1


def test_drawing_a_million_points_again_takes_no_time() -> None:
    picture = plot(curve(*[1.0 + number % 7 for number in range(MILLION)]))
    cells(picture)
    began = time.process_time()
    for _ in range(10):
        cells(picture)
    assert (time.process_time() - began) / 10 < 0.1  # a look at each point takes as long as two such draws


@pytest.mark.parametrize(
    "values",
    [
        (),
        (1.0,),
        (2.0, 2.0),
        (math.nan,),
        (math.inf, 1.0),
        (1.0, math.nan, 2.0),
        (1e9, 1.0),
        (1e308, -1e308),
        (5e-324, 0.0),
        (5e-324, 5e-324),
        (2e-308, 1e-320, -1e-310),
        (5e-324, 1e15, 1.0),
        (0.0, 0.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("log", [False, True])
def test_odd_values_are_drawn_or_left_out(values: tuple[float, ...], log: bool) -> None:
    rows = drawn(plot(curve(*values), log=log, cursor=1), 60, 10, ascii=False)
    assert len(rows) == 10
    assert all(row.cell_len == 60 for row in rows)


@given(
    st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=300),
    st.integers(GUTTER + 2, 70),
    st.integers(3, 30),
    st.booleans(),
)
def test_the_highest_and_the_lowest_value_are_always_drawn(
    values: list[float], width: int, height: int, ascii_only: bool
) -> None:
    picture = plot(curve(*values))
    rows = cells(picture, width, height, plain=ascii_only)
    for wanted in (max(values), min(values)):
        column = picture.window.column(values.index(wanted) + 1, width - GUTTER)
        near = range(max(column - 1, 0), min(column + 2, width - GUTTER))
        assert any(row[one] != " " for row in rows for one in near)


def test_zero_on_a_logarithmic_axis_lies_at_its_low_end() -> None:
    rows = cells(plot(curve(0.0, 1.0, 0.1, 0.0), log=True))
    assert rows[-1].strip()
    assert rows[0].strip()


def test_the_best_evaluation_has_a_sign_of_its_own() -> None:
    evaluations = (looked_at(0, 3.0), looked_at(5, 1.0), looked_at(10, 2.0))
    for ascii_only, plain, best in ((False, "○", "●"), (True, "o", "@")):
        picture = Plot((Line(RAW, curve(*[2.0] * 10)),), evaluations, evaluations[1], Window.whole(10), False)
        said = "".join(cells(picture, plain=ascii_only))
        assert (said.count(plain), said.count(best)) == (2, 1)


def test_ascii_means_ascii() -> None:
    picture = Plot(
        (Line(RAW, curve(1.0, 5.0, 2.0)), Line(SMOOTHED, curve(1.0, 2.0, 2.0))),
        (looked_at(2, 1.0),),
        None,
        Window.whole(3),
        False,
        cursor=2,
    )
    assert all(row.plain.isascii() for row in drawn(picture, 60, 10, ascii=True))


def test_a_smoothed_constant_is_that_constant_from_its_first_point_on() -> None:
    smoothed = Smoothed(40)
    assert smoothed.follow(curve(*[5.0] * 30))
    assert all(value == pytest.approx(5.0) for value in smoothed.curve.values)


@pytest.mark.parametrize(("span", "most"), [(20, 1e-8), (1000, 0.02)])
def test_smoothing_is_the_exponential_mean_of_each_point(span: int, most: float) -> None:
    values = [math.sin(number) + number / 5000 for number in range(5000)]
    smoothed = Smoothed(span)
    while not smoothed.follow(curve(*values)):
        pass
    mean, weight, known = 0.0, 0.0, {}
    for step, value in enumerate(values, start=1):
        mean += (value - mean) / span
        weight += (1 - weight) / span
        known[step] = mean / weight
    assert len(smoothed.curve) > 200
    assert max(abs(value - known[step]) for step, value in smoothed.curve if step > span) <= most


def test_smoothing_takes_in_only_what_is_new_and_begins_anew_where_a_run_went_back() -> None:
    first = curve(*[4.0] * 50)
    smoothed = Smoothed(10)
    smoothed.follow(first)
    begin = smoothed.curve
    smoothed.follow(first.after([51], [4.0]))
    assert len(smoothed.curve) == 51
    assert list(smoothed.curve.values[:50]) == list(begin.values)
    other = first.until(10).after(range(11, 60), [8.0] * 49)
    smoothed.follow(other)
    assert len(smoothed.curve) == 59
    assert smoothed.curve.values[-1] > 7.9


def test_values_without_a_difference_leave_the_smoothed_line_as_it_was() -> None:
    smoothed = Smoothed(5)
    smoothed.follow(curve(2.0, 1e308, -1e308, 1e308, 2.0))
    assert list(smoothed.curve.steps) == [1, 5]
    assert list(smoothed.curve.values) == pytest.approx([2.0, 2.0])


def test_values_that_are_not_finite_leave_the_smoothed_line_as_it_was() -> None:
    smoothed = Smoothed(5)
    smoothed.follow(curve(2.0, math.nan, 2.0, math.inf, 2.0))
    assert [value for _, value in smoothed.curve] == pytest.approx([2.0, 2.0, 2.0])


@pytest.mark.parametrize(("steps", "end"), [(0, 10), (10, 10), (11, 15), (560, 600), (601, 800), (10**6, 10**6)])
def test_the_axis_of_steps_ends_at_a_round_step(steps: int, end: int) -> None:
    assert last_step(steps) == end
    assert steps <= end


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.booleans())
def test_an_axis_holds_its_values(one: float, other: float, log: bool) -> None:
    low, high = sorted((one, other))
    scale = round_scale(low, high, log=log)
    assert scale.low < scale.high
    doubt = 1e-6 * (high - low)
    assert scale.low <= low + doubt
    assert scale.high >= high - doubt


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "0"), (1.5, "1.5"), (2e-4, "2e-4"), (123456.0, "1.2e5"), (-3.25, "-3.25"), (1e9, "1e9")]
)
def test_values_at_the_axis_are_short(value: float, said: str) -> None:
    assert brief(value) == said


def test_zooming_keeps_the_step_that_is_looked_at_in_its_place() -> None:
    window = Window.whole(1000)
    closer = window.zoomed(closer=True, around=300, newest=1000)
    assert closer is not None
    assert abs(closer.column(300, 72) - window.column(300, 72)) <= 1
    assert closer.steps == window.steps // 2
    assert closer.zoomed(closer=False, around=300, newest=1000) is None


def test_a_window_stays_between_the_first_step_and_the_newest() -> None:
    window = Window(400, 500)
    for _ in range(20):
        window = window.moved(-0.5, 1000) or window
    assert window.begin == 0
    for _ in range(40):
        window = window.moved(0.5, 1000) or window
    assert (window.end, window.follows) == (1000, True)
    assert window.now(1200).end == 1200
    assert Window(400, 500).now(1200) == Window(400, 500)
    assert Window(400, 500).now(100).end <= 100
