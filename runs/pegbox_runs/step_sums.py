"""What many steps add up to, column by column: a fold over a million of them spends its time here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

import msgspec

from pegbox_methods.events import Memory, Step

Column = Sequence[Any]


class StepSplit(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of the steps went that tell it. Sums of seconds; steps that were taken anew count twice."""

    rows: float = 0.0
    """Waiting for rows."""
    optimizer: float = 0.0
    """Clipping, and the optimizer."""
    whole: float = 0.0
    """Of those steps: what is left of it went forward and backward."""

    def after(self, rows: Column, optimizer: Column, whole: Column) -> StepSplit:
        """Give the split with more steps: the seconds of each, None where a step doesn't tell them."""
        try:
            return StepSplit(
                rows=added(self.rows, rows), optimizer=added(self.optimizer, optimizer), whole=added(self.whole, whole)
            )
        except TypeError:  # looking for None first would cost a fold a tenth more
            told = [(r, o or 0.0, w) for r, o, w in zip(rows, optimizer, whole, strict=True) if r is not None]
            return self.after(*zip(*told, strict=True)) if told else self


def columns_of(structs: Sequence[msgspec.Struct]) -> dict[str, Column]:
    """Turn structs of one kind, at least one, into a column for each of their fields."""
    names = structs[0].__struct_fields__
    return dict(zip(names, zip(*map(msgspec.structs.astuple, structs), strict=True), strict=True))


def _added_in_order(before: float, more: Column) -> float:
    return reduce(add, more, before)


def _added_at_once(before: float, more: Column) -> float:
    return sum(more, before)


added = _added_in_order if sys.version_info >= (3, 12) else _added_at_once
"""Adds one after the other. From Python 3.12 on sum() gives other digits for other portions; before it is the same."""


def once(steps: Sequence[Step], last_seq: int) -> list[Step]:
    """Leave out the steps that are in the log twice: each number in it is larger than the one before."""
    new = []
    for step in steps:
        if not 0 < step.seq <= last_seq:
            new.append(step)
            last_seq = step.seq
    return new


def highest(peak: Memory, seen: Sequence[Memory]) -> Memory:
    """Give the largest peaks."""
    return Memory(
        device_peak=_top(peak.device_peak, [memory.device_peak for memory in seen]),
        process_peak=_top(peak.process_peak, [memory.process_peak for memory in seen]),
    )


def taken(seen: Sequence[Memory]) -> Column:
    """Give the bytes at each step's end: of the device, or of the process where there is no device."""
    device = [memory.device_now for memory in seen]
    if None not in device:
        return device
    return [memory.process_now or 0 if now is None else now for now, memory in zip(device, seen, strict=True)]


def _top(before: int | None, seen: Column) -> int | None:
    try:
        top = max(seen)
    except TypeError:
        top = max((one for one in seen if one is not None), default=None)
    return max(before or 0, top or 0) or None
