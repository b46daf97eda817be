"""What to say of a contestant whose training didn't help it."""

from __future__ import annotations

from pegbox_runs.arena.results import ContestantResult
from pegbox_runs.reporting.digits import plain, together


def remark_on_change(one: ContestantResult) -> str | None:
    """Say that a contestant's training didn't help, where that is so; None: it did."""
    if one.change is None or one.change.low is None or one.change.high is None:
        return None
    told = together(plain(one.change, sign=True))
    if one.change.value >= 0:
        return f"Its loss isn't below that of its own base model: training changed it by {told}."
    if one.change.high >= 0:
        return f"It can't be told to be better than its own base model: training changed its loss by {told}."
    return None
