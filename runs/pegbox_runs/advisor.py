"""What a person should know of a run that goes on: rules over its state, each with whose word it is."""

from __future__ import annotations

from pegbox_runs.hints import device, gradients, looks, loss, processes, rows
from pegbox_runs.hints.hint import Hint, Rule
from pegbox_runs.run_state import RunState

__all__ = ["RULES", "Hint", "Rule", "hints"]

RULES: tuple[Rule, ...] = (
    loss.diverging,
    looks.overfitting,
    looks.no_gain,
    loss.far_above_usual,
    loss.rate_too_high,
    gradients.exploding,
    gradients.vanishing,
    gradients.skipped,
    gradients.ranks_not_moved,
    device.memory_nearly_full,
    device.hot,
    looks.not_evaluated,
    looks.few_looks,
    loss.spike,
    loss.rate_too_low,
    looks.plateau,
    looks.still_falling,
    gradients.clipped,
    rows.waiting,
    processes.waits,
    processes.mixed,
    device.slower,
    device.idle,
    rows.padded,
    device.memory_to_spare,
    device.at_power_limit,
)
"""In the order in which hints of one level are given."""
LEVELS = ("act", "look", "good")


def hints(state: RunState) -> tuple[Hint, ...]:
    """Look at a run's state; the most pressing first, none where nothing stands out.

    Costs little: it is asked each time a screen is drawn.
    """
    found = [hint for rule in RULES if (hint := rule(state)) is not None]
    return tuple(sorted(found, key=lambda hint: LEVELS.index(hint.level)))
