"""Which rows scores rest on."""

from __future__ import annotations

import pytest

from pegbox_runs.arena.verdict.summing_up import results_of
from tests.runs.arena.judged_comparisons import facts, outcomes_by_level
from tests.runs.arena.made_up_comparisons import comparison


@pytest.mark.parametrize(("search", "scores", "told"), [(True, True, 1), (False, True, 0), (True, False, 0)])
def test_scores_are_said_to_rest_on_the_rows_that_chose_rates_too(search: bool, scores: bool, told: int) -> None:
    game = comparison("a", search=search)
    figures = {"a": {"scores": {"exact-match": (1.0, 0.0)}}} if scores else {}
    results = results_of(game, outcomes_by_level(game, {"a": 1.0}, figures=figures), facts())
    assert sum("rest on all answered rows" in remark for remark in results.remarks) == told
