"""Who is beaten by nobody."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

from pegbox_runs.arena.results import ContestantResult, Interval
from pegbox_runs.arena.verdict.pareto import figure_on, pareto_of


def contestant(
    name: str, loss: float, seconds: float = 60.0, peak: int | None = 1000, **fields: Any
) -> ContestantResult:
    better = Interval(value=-0.5, low=-0.6, high=-0.4)
    given = {"place": 1, "device_peak": peak, "change": better, **fields}
    return ContestantResult(
        name=name,
        method=name,
        settings={},
        standing="done",
        loss=Interval(value=loss),
        training_seconds=Interval(value=seconds),
        **given,
    )


def test_who_is_worse_on_every_axis_is_not_on_the_front():
    found = pareto_of([contestant("a", 1.0, 100), contestant("b", 1.2, 50), contestant("c", 1.3, 120)])
    assert found.axes == ("loss", "memory", "time")
    assert found.front == ("a", "b")


def test_a_tie_on_one_axis_is_decided_by_the_others_and_a_tie_on_all_keeps_both():
    assert pareto_of([contestant("a", 1.0, 100), contestant("b", 1.0, 90)]).front == ("b",)
    assert pareto_of([contestant("a", 1.0), contestant("b", 1.0)]).front == ("a", "b")


def test_one_that_is_tied_with_a_better_one_stays_for_any_advantage():
    tied = [contestant("a", 1.0, 100, group=1), contestant("b", 1.001, 90, group=1)]
    assert pareto_of(tied).front == ("a", "b")


def test_other_axes_give_another_front():
    many = [
        contestant("a", 1.0, adapter_bytes=900, forgetting=Interval(value=0.5)),
        contestant("b", 1.5, adapter_bytes=100, forgetting=Interval(value=0.1)),
    ]
    assert pareto_of(many, ("size", "forgetting")).front == ("b",)
    assert pareto_of(many, ("loss",)).front == ("a",)
    assert pareto_of(many, ("loss", "size")).front == ("a", "b")


def test_an_axis_without_figures_is_left_out_and_who_lacks_one_is_not_compared():
    none = [contestant("a", 1.0, peak=None), contestant("b", 1.1, peak=None)]
    assert pareto_of(none).axes == ("loss", "time")
    assert pareto_of([*none, contestant("c", 2.0, adapter_bytes=9)], ("loss", "size")).front == ("c",)
    assert pareto_of([contestant("a", math.nan), contestant("b", 1.0)]).front == ("b",)


def test_who_is_not_ranked_is_not_on_the_front():
    assert pareto_of([contestant("a", 1.0, place=None), contestant("b", 2.0)]).front == ("b",)
    assert pareto_of([]).front == ()
    assert pareto_of([contestant("a", 1.0)], ()).front == ()


@pytest.mark.parametrize("change", [None, Interval(value=-0.1), Interval(value=-0.1, low=-0.3, high=0.1)])
def test_who_cannot_be_told_to_be_better_than_its_base_is_not_on_the_front_and_beats_nobody(change):
    cheap = contestant("cheap", 0.9, 1, change=change)
    assert pareto_of([cheap, contestant("a", 1.0, 100)]).front == ("a",)
    assert pareto_of([cheap]).front == ()


def test_memory_is_the_devices_and_on_a_cpu_the_process():
    assert figure_on(contestant("a", 1.0, peak=7, process_peak=9), "memory") == 7
    assert figure_on(contestant("a", 1.0, peak=None, process_peak=9), "memory") == 9


def test_memory_that_is_only_an_upper_bound_is_no_axis_unless_it_is_asked_for():
    small = contestant("small", 1.5, peak=None, process_peak=1, adapter_bytes=9)
    others = [contestant("a", 1.0, peak=None, process_peak=9, adapter_bytes=9), contestant("b", 1.2, adapter_bytes=5)]
    found = pareto_of([*others, small])
    assert found.axes == ("loss", "time", "size")
    assert found.front == ("a", "b")
    assert "small" in pareto_of([*others, small], ("loss", "memory")).front
    unranked = contestant("late", 1.0, place=None, peak=None)
    assert pareto_of([contestant("a", 1.0), unranked]).axes == ("loss", "memory", "time")


def test_a_screen_may_ask_without_numpy():
    code = "import sys; import pegbox_runs.arena.verdict.pareto; sys.exit('numpy' in sys.modules)"
    paths = [path for path in sys.path if path]
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(paths)}, check=False)
    assert done.returncode == 0
