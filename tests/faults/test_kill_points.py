"""Random kills: the small set of what tests/bench/kill_points.py does at length."""

from __future__ import annotations

import pytest

from tests.bench.kill_points import carry_out, report

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forge")]


def test_no_kill_at_any_time_loses_a_run_or_changes_its_result() -> None:
    tally = carry_out(points=12, seed=0)
    assert tally.points == 12
    assert tally.clean, report(tally)
