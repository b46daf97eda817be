"""How long a run will still take: its steps, and all that it does beside them, as far as it has told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pegbox_methods.events import AnyEvent, Checkpoint, Finished, Resumed, Sample
from pegbox_runs.run_state import RunState, fold
from pegbox_runs.time_left import SPREAD, TimeLeft
from tests.stories import evaluation, prepared, started, step


def run(taken: int, *more: AnyEvent, seconds: float = 2.0, **about: Any) -> RunState:
    ready = msgspec.structs.replace(prepared(), **{"steps": 100, "every": 25, **about})
    steps = [msgspec.structs.replace(step(n), step_seconds=seconds) for n in range(1, taken + 1)]
    return fold([started(), ready, evaluation(0, 3.0), *steps, *more])


def left(state: RunState) -> TimeLeft:
    assert state.time_left is not None
    assert state.seconds_left == state.time_left.likely
    return state.time_left


def sample(at: int, seconds: float) -> Sample:
    return Sample(step=at, index=0, question="q", answer="a", expected="e", seconds=seconds)


def test_evaluations_answers_and_checkpoints_that_are_due_count() -> None:
    """An evaluation of the story takes 1 s; three are due behind step 30: after 50, 75 and 100."""
    assert left(run(30)).likely == 70 * 2.0 + 3 * 1.0
    more = [evaluation(25, 2.5), sample(25, 4.0), Checkpoint(step=25, folder="f", seconds=0.5)]
    assert left(run(30, *more)).likely == 70 * 2.0 + 3 * (1.0 + 4.0 + 0.5)
    assert left(run(30, sample(0, 4.0))).likely == 70 * 2.0 + 3 * 1.0  # whether more will be asked isn't known yet
    assert left(run(30, every=None)).likely == 70 * 2.0
    assert left(run(30, every=40)).likely == 70 * 2.0 + 3 * 1.0  # after 40, 80 and the last


def test_the_last_step_leaves_its_own_evaluation_only_until_it_is_there() -> None:
    assert left(run(99)).likely == 2.0 + 1.0
    assert left(run(100)).likely == 0.0


def test_the_range_is_wide_at_first_and_takes_in_a_pace_that_has_changed() -> None:
    early, late = left(run(1)), left(run(60))
    assert early.low < late.low * 99 / 40
    assert early.high > late.high * 99 / 40
    assert (late.low, late.high) == (
        pytest.approx((1 - SPREAD) * late.likely),
        pytest.approx((1 + SPREAD) * late.likely),
    )
    slower = [msgspec.structs.replace(step(n), step_seconds=4.0, tokens_per_second=1.75) for n in range(41, 91)]
    changed = left(run(40, *slower))
    assert changed.high > 10 * 4.0 > changed.likely > changed.low


def test_nothing_is_foretold_before_the_first_step_or_behind_the_end() -> None:
    assert RunState().time_left is None
    assert run(0).time_left is None
    done = Finished(reason="completed", steps=100, kept_step=100, adapter="adapter", seconds=1.0)
    assert run(100, done).time_left is None


@pytest.mark.parametrize("figures", [{"step_seconds": 1e308}, {"tokens_per_second": 5e-324}], ids=str)
@pytest.mark.parametrize("taken", [60, 100])
def test_nothing_is_foretold_of_figures_whose_sum_is_no_number(figures: dict[str, float], taken: int) -> None:
    steps = [msgspec.structs.replace(step(n), **figures) for n in range(1, taken + 1)]
    assert run(0, *steps).time_left is None


def test_epochs_follow_the_steps_that_are_done_even_where_some_are_taken_anew() -> None:
    assert run(0).epochs is None
    assert run(30).epochs == pytest.approx((3.0, 10.0))
    assert run(30, Resumed(step=25, folder="f", training_seconds=50.0)).epochs == pytest.approx((2.5, 10.0))


def test_the_time_s_parts_are_summed_over_the_steps_that_tell_them() -> None:
    told = msgspec.structs.replace(step(3), rows_seconds=0.5, optimizer_seconds=0.25)
    state = run(2, told, msgspec.structs.replace(told, step=4))
    assert (state.split.rows, state.split.optimizer, state.split.whole) == (1.0, 0.5, 4.0)
    assert run(2).split.whole == 0.0
