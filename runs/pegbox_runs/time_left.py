"""How long a run will still take, by what its own steps, evaluations, answers and checkpoints have taken so far."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pegbox_runs.run_state import RunState

SPREAD = 0.10
"""Share by which the mean may be off to each side, however long it was: rows differ in length, and clocks fall as a
card warms up. The time forecast takes the same for a measured rate."""
EARLY_STEPS = 20
"""Until then each missing step adds to the range: the first ones load kernels and fill caches."""
RECENT = 50
"""Steps whose pace is held against that of all."""


class TimeLeft(msgspec.Struct, frozen=True, kw_only=True):
    """Until the last step is done, evaluated and saved. Seconds."""

    likely: float
    low: float
    high: float


def time_left(state: RunState) -> TimeLeft | None:
    """Foretell it; None: the run is over, has taken no step yet, or tells figures too absurd to add up.

    Counts the evaluations, the answers and the checkpoints that are still due, where the run has told how far they are
    apart and one was seen; the writing of the adapter is left out.
    """
    if state.prepared is None or state.over or not state.steps_done:
        return None
    left = max(0, state.prepared.steps - state.steps_done)
    step_seconds = state.training_seconds / state.steps_done
    beside = _looks_left(state) * _seconds_of_a_look(state)
    spread = SPREAD * (1 + 4 * max(0, EARLY_STEPS - state.steps_done) / EARLY_STEPS)
    paces = (step_seconds, _recent_step_seconds(state) or step_seconds)
    foretold = TimeLeft(
        likely=left * step_seconds + beside,
        low=max(0.0, 1 - spread) * (left * min(paces) + beside),
        high=(1 + spread) * (left * max(paces) + beside),
    )
    return foretold if math.isfinite(foretold.likely + foretold.high) else None


def _recent_step_seconds(state: RunState) -> float | None:
    """Give the newest steps' seconds by their tokens a second, as if each had the usual number of tokens."""
    speeds = [speed for speed in state.speeds.last(RECENT) if speed > 0]
    if len(speeds) < RECENT or not state.tokens:
        return None
    return state.tokens / state.steps_done * _mean(1 / speed for speed in speeds)


def _looks_left(state: RunState) -> int:
    """Count the ends of steps at which the run will evaluate, ask and save; the last step is one of them."""
    prepared = state.prepared
    if prepared is None or not prepared.every:
        return 0
    return -(-prepared.steps // prepared.every) - min(state.steps_done, prepared.steps) // prepared.every


def _seconds_of_a_look(state: RunState) -> float:
    evaluation = _mean(evaluation.seconds for evaluation in state.evaluations[-5:])
    checkpoint = 0.0 if state.checkpoint is None else state.checkpoint.seconds
    return evaluation + _seconds_of_answers(state) + checkpoint


def _seconds_of_answers(state: RunState) -> float:
    """Add up the newest round of answers that was given after a step; before one, nothing tells whether more come."""
    newest = state.samples[-1].step if state.samples else 0
    return sum(sample.seconds for sample in state.samples[-100:] if sample.step == newest > 0)


def _mean(values: Iterable[float]) -> float:
    known: Sequence[float] = [*values]
    return sum(known) / len(known) if known else 0.0
