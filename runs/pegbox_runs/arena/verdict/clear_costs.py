"""Which difference of costs is a reason: one that is more than what the same training takes from one time to the next.

Light, as pareto.py is.
"""

from __future__ import annotations

from pegbox_runs.arena.results import Axis, ContestantResult, Results
from pegbox_runs.arena.verdict.pareto import figure_on

CLEAR_TIME = 1.15
"""Times as long as the other's slowest seed that even the quickest seed takes, where there are several."""
CLEAR_TIME_ALONE = 1.5
"""The same with a single seed: a process' first training takes a third longer than the same one later."""
CLEAR_SIZE = 1.01
"""Adapters are measured to the byte; what their files' heads differ by is nobody's merit."""
CLEAR_MEMORY = 1.05
"""Memory on a device that is this much above another's is as good as the other's: it varies by as much of itself."""


def is_clearly_more(one: ContestantResult, other: ContestantResult, axis: Axis, results: Results) -> bool:
    """Tell whether the one takes more than the other of memory, time or size, beyond what such figures vary by."""
    own, theirs = figure_on(one, axis), figure_on(other, axis)
    if own is None or theirs is None:
        return False
    if axis == "time":
        return _is_clearly_slower(one, other, results)
    return own > theirs * (CLEAR_MEMORY if axis == "memory" else CLEAR_SIZE)


def _is_clearly_slower(one: ContestantResult, other: ContestantResult, results: Results) -> bool:
    """Hold the one's quickest seed against the other's slowest, so that one slow seed of either is no reason."""
    own, theirs = (
        [seed.training_seconds for seed in each.seeds if seed.seed in results.compared_seeds] for each in (one, other)
    )
    if not own or not theirs:
        return False
    return min(own) >= max(theirs) * (CLEAR_TIME_ALONE if len(own) == 1 or len(theirs) == 1 else CLEAR_TIME)
