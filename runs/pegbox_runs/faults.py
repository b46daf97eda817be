"""Where a test can break a run on purpose: named boundaries that do nothing unless PEGBOX_FAULTS is set.

For tests alone; `docs/breaking.md` says how. What breaks is in `fault_plan.py`, which nobody imports otherwise.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pegbox_runs.fault_plan import FaultPlan

VARIABLE = "PEGBOX_FAULTS"

_plan: FaultPlan | None = None


def strike(boundary: str, *, step: int | None = None) -> None:
    """Pass a boundary: whatever was planned for it happens here. `step`: the step in hand, where there is one.

    Raises: whatever was planned.
    """
    if _plan is not None:
        _plan.strike(boundary, step)


def mangled(line: bytes) -> bytes:
    """Give a line of the event log as it will reach the disk: whole, unless half of it or twice of it was planned."""
    return line if _plan is None else _plan.mangled(line)


def now() -> float:
    """Give the time by the machine's clock, which a plan may set back."""
    return time.time() if _plan is None else time.time() - _plan.seconds_back


def begin(attempt: int, rank: int = 0) -> None:
    """Say which worker of its run this process is, and which of its processes, so that a plan can mean one of them."""
    if _plan is not None:
        _plan.attempt, _plan.rank = attempt, rank


def arm() -> None:
    """Read the plan from the environment, anew; done once by itself, and again by a process that was forked.

    A plan that can't be understood ends the process with a sentence on standard error: a test that breaks nothing
    would pass for the wrong reason.
    """
    global _plan
    text = os.environ.get(VARIABLE)
    if not text:
        _plan = None
        return
    from pegbox_runs.fault_plan import BadPlan, read_plan

    try:
        _plan = read_plan(text)
    except BadPlan as error:
        print(f"{VARIABLE}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


arm()
