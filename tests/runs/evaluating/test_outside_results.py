"""Scores from outside become differences on the same rows, with a range; what has none says so."""

from __future__ import annotations

import pytest

from pegbox_runs.evaluating.outside.asking import HarnessFigure, TaskScores
from pegbox_runs.evaluating.outside.results import of_harness, of_task


def test_a_tasks_difference_is_that_of_the_same_rows() -> None:
    hard = tuple(n % 2 * 0.5 for n in range(40))
    easier = tuple(value + 0.1 + 0.01 * (place % 3) for place, value in enumerate(hard))
    told = of_task(TaskScores(name="t", base=hard, tuned=easier, left_out=2))
    assert told.base == pytest.approx(0.25)
    assert told.difference is not None
    assert told.difference.value == pytest.approx(0.10975)
    assert told.difference.low is not None
    assert told.difference.low > 0.1  # rows differ by 0.5 among themselves, and that cancels out
    assert (told.rows, told.remark) == (40, "2 rows leave no room for an answer and are left out")


def test_a_task_that_failed_has_no_figures_and_says_why() -> None:
    told = of_task(TaskScores(name="t", fault="row 3: ValueError: no"))
    assert (told.rows, told.base, told.difference) == (0, None, None)
    assert told.remark == "couldn't be measured: row 3: ValueError: no"


def test_a_figure_of_the_harness_that_is_no_mean_takes_its_own_errors() -> None:
    figure = HarnessFigure(task="t", measure="f1", rows=10, base=0.5, tuned=0.6, base_error=0.03, tuned_error=0.04)
    told = of_harness(figure)
    assert told.difference is not None
    assert told.difference.low == pytest.approx(0.1 - 1.96 * 0.05, abs=1e-3)
    assert "standard errors" in told.remark


def test_a_figure_without_any_error_has_no_range_and_says_so() -> None:
    told = of_harness(HarnessFigure(task="t", measure="word_perplexity", rows=10, base=20.0, tuned=30.0))
    assert told.difference is not None
    assert (told.difference.value, told.difference.low) == (10.0, None)
    assert told.remark == "the harness gives no error for it"


@pytest.mark.parametrize(("base", "tuned"), [(None, 30.0), (20.0, None)])
def test_a_figure_that_is_no_number_is_told_as_one_that_could_not_be_measured(
    base: float | None, tuned: float | None
) -> None:
    told = of_harness(HarnessFigure(task="t", measure="word_perplexity", rows=10, base=base, tuned=tuned))
    assert (told.name, told.measure, told.rows, told.difference) == ("t", "word_perplexity", 0, None)
    assert told.remark == "couldn't be measured: its figure is no number"


def test_one_row_has_no_range() -> None:
    told = of_task(TaskScores(name="t", base=(0.0,), tuned=(1.0,)))
    assert told.difference is not None
    assert (told.difference.value, told.difference.low) == (1.0, None)
