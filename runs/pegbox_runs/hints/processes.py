"""What several processes say of each other: whether one holds the others up."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from pegbox_runs.hints.hint import Hint, mean, percent
from pegbox_runs.together import kinds_of_device

if TYPE_CHECKING:
    from pegbox_runs.run_state import RunState

DDP = 'Li et al. 2020, "PyTorch Distributed: experiences on accelerating data parallel training", arXiv:2006.15704'
LEAST = 20
WAITED = 0.1
"""Share of a step: communication and clocks make a few per cent usual."""
FEWER = 0.8
"""Of the mean's tokens: below that, it is its rows that differ, not its machine."""
MOST_KINDS = 3


def waits(state: RunState) -> Hint | None:
    """The processes wait for the slowest of them at every step."""
    share = waited_share(state)
    if state.over or share is None or len(state.recent) < LEAST or share < WAITED:
        return None
    apart = _fewest_tokens(state)
    if apart < FEWER:
        why = (
            f"One has {percent(apart)} of the mean's tokens: their rows differ in length. Next time set "
            'training.order to "grouped" or "packed", which evens them out.'
        )
    else:
        why = (
            "They have about as many tokens each, so one's device or processor is slower: look whether another "
            "program is on it, whether it is hot, and whether all of them are of one kind (`pegbox doctor` on each)."
        )
    return Hint(
        name="waiting-for-process",
        level="look",
        text=f"{percent(share)} of a step the processes wait for the slowest of them. {why}",
        source=f"{DDP}: gradients are averaged once the slowest process has its own.",
    )


def mixed(state: RunState) -> Hint | None:
    """The processes train on cards of several kinds."""
    kinds = kinds_of_device(state.joined) if state.joined else {}
    if state.over or len(kinds) < 2:
        return None
    named = [f"{number:,} on {kind}" for kind, number in list(kinds.items())[:MOST_KINDS]]
    more = len(kinds) - len(named)
    told = ", ".join(named) + (f" and {more:,} more kinds" if more else "")
    return Hint(
        name="mixed-devices",
        level="look",
        text=f"The processes are on different devices: {told}. Each step takes as long as the slowest of them, and "
        "the one with the least memory sets training.micro_batch. Leave the slow ones out, if the others are enough.",
        source=f"{DDP}: all processes take each step together.",
    )


def waited_share(state: RunState) -> float | None:
    """Give the share of the newest steps that the processes waited for the slowest; None: there is one, or no step."""
    told = [(step.across.waited_seconds, step.step_seconds) for step in state.recent if step.across is not None]
    whole = sum(seconds for _, seconds in told)
    return min(sum(waited for waited, _ in told) / whole, 1.0) if 0 < whole < inf else None


def _fewest_tokens(state: RunState) -> float:
    """Give the share of the mean's tokens that the process with the fewest had, over the newest steps."""
    across = [step.across for step in state.recent if step.across is not None]
    return mean([one.tokens_per_second_worst for one in across]) / max(
        mean([one.tokens_per_second_mean for one in across]), 1e-9
    )
