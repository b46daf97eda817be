"""One thing that the advisor says, and how a rule looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from pegbox_runs.run_state import RunState

WINDOW = 100
"""Newest steps that a rule looks at: enough for a median, and the same price however long the run is."""
PLAYBOOK = "Godbole et al. 2023, Deep Learning Tuning Playbook, github.com/google-research/tuning_playbook"


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the advisor says."""

    name: str
    """A short stable word for programs: `overfitting`, `plateau`..."""
    level: Literal["good", "look", "act"]
    text: str
    """What is seen, in figures, and what to do: plain words, one or two sentences."""
    source: str
    """Whose rule it is, and where it is written."""


Rule = Callable[["RunState"], Hint | None]
"""None: nothing stands out, or there is too little to tell. Looks at the evaluations, and at a window of steps."""


def mean(values: Sequence[float]) -> float:
    """Give the mean of at least one value."""
    return sum(values) / len(values)


def middle(values: Sequence[float]) -> float | None:
    """Give the median; None: there are no values."""
    return median(values) if values else None


def percent(share: float) -> str:
    """Write a share: `12 %`."""
    return f"{100 * share:.0f} %"
