"""What one change does to a draft's values."""

from __future__ import annotations

from typing import Any

import msgspec

from pegbox_runs.drafts import Draft
from pegbox_runs.setting_values import PROCESSES, accumulation_for
from pegbox_runs.settling import Settled

MICRO = "training.micro_batch"
ACCUMULATION = "training.accumulation"


def with_value(draft: Draft, key: str, value: Any, settled: Settled) -> tuple[Draft, str]:
    """Set a value. A step's rows stay when the micro-batch changes: the accumulation follows, also one set by hand.

    Returns: (the draft, what else was changed and should be said; empty: nothing).
    """
    values = {**draft.values, key: value}
    micro = draft.values.get(MICRO, settled.recipe.training.micro_batch)
    before = draft.values.get(ACCUMULATION)
    wanted, said = draft.step_rows, ""
    if key == ACCUMULATION:
        wanted = _rows(micro, value)
    elif key == PROCESSES and before is not None and isinstance(value, int) and before % value:
        values[ACCUMULATION] = accumulation_for(_rows(micro, before) or value, micro, value)
        said = f"Accumulation is {values[ACCUMULATION]} now: {value} devices part it alike."
    elif key == MICRO and before is not None:
        wanted = wanted or _rows(micro, before) or value
        accumulation = accumulation_for(wanted, value, settled.recipe.devices.processes)
        if accumulation != before:
            values[ACCUMULATION] = accumulation
            said = f"Accumulation is {accumulation} now: {value} x {accumulation} = {value * accumulation} rows a step."
    return msgspec.structs.replace(draft, values=values, step_rows=wanted), said


def put_back(draft: Draft, key: str, settled: Settled) -> tuple[Draft, str]:
    """Take the advised value again. Returns: as `with_value`."""
    said = ""
    if key == MICRO and ACCUMULATION in draft.values:
        draft, said = with_value(draft, key, settled.advice.settings["training"]["micro_batch"], settled)
    values = {name: kept for name, kept in draft.values.items() if name != key}
    wanted = None if key == ACCUMULATION else draft.step_rows
    return msgspec.structs.replace(draft, values=values, step_rows=wanted), said


def _rows(micro: object, accumulation: object) -> int | None:
    """Multiply; None: a draft that was edited by hand may hold anything there."""
    return micro * accumulation if isinstance(micro, int) and isinstance(accumulation, int) else None
