"""What the forecast promises against published measurements: the numbers of `make accuracy`, as limits."""

from __future__ import annotations

from statistics import median

from tests.accuracy.analytic import forecasts
from tests.accuracy.report import Errors, collect, merge, quantile, report


def groups(known: bool) -> Errors:
    return merge(errors for errors in collect(forecasts()).values() if errors.known is known)


def test_on_known_stacks_the_allocated_figure_is_within_two_percent_in_the_median() -> None:
    errors = groups(known=True).allocated
    assert len(errors) >= 18
    assert median(map(abs, errors)) <= 0.02
    assert quantile(errors, 0.9) <= 0.05
    assert min(errors) >= -0.05


def test_on_known_stacks_the_cards_figure_is_within_five_percent_in_the_median() -> None:
    errors = groups(known=True).card
    assert len(errors) >= 24
    assert median(map(abs, errors)) <= 0.05
    assert quantile(errors, 0.9) <= 0.10


def test_on_known_stacks_the_safe_figure_is_never_under() -> None:
    assert groups(known=True).unsafe == 0


def test_no_row_that_ran_out_of_memory_is_said_to_fit() -> None:
    assert groups(known=True).wrong_fit == groups(known=False).wrong_fit == 0


def test_the_true_value_lies_inside_the_stated_range_in_nineteen_rows_of_twenty() -> None:
    known, other = groups(known=True), groups(known=False)
    assert known.outside == 0
    assert known.rows + other.rows >= 95
    assert known.outside + other.outside <= 0.05 * (known.rows + other.rows)


def test_the_report_names_every_source() -> None:
    text = report(forecasts())
    assert all(source in text for source in ("fms ", "fms-liger", "fms-kernels", "peft", "litgpt", "torchtune"))
