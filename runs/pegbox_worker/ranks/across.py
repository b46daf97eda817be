"""A step's figures over all processes: one small message between them, in each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pegbox_methods.events import AcrossRanks, Memory
from pegbox_worker.ranks.group import Group

NONE = -1.0
"""In place of a figure that isn't there."""


class Own(NamedTuple):
    """What one process has to say of a step."""

    tokens: int
    seconds: float
    """That its rows and forward passes took, without waiting for the others."""
    memory: Memory
    wished: bool
    """Whether it knows of anything to do at the step's end; the leading one's counts."""


class Common(NamedTuple):
    """What all know of the step then."""

    memory: Memory
    """The worst of each figure."""
    across: AcrossRanks
    wished: bool


def gather(group: Group, own: Own, step_seconds: float) -> Common:
    """Bring all processes' figures together. `step_seconds`: that the step took."""
    memory = own.memory
    sizes = (memory.device_now, memory.device_peak, memory.process_now, memory.process_peak)
    said = group.gather(
        [float(own.tokens), own.seconds, float(own.wished), *(NONE if one is None else float(one) for one in sizes)]
    )
    tokens, seconds, wishes, *held = zip(*said, strict=True)
    worst = [None if max(figures) < 0 else int(max(figures)) for figures in held]
    step_seconds = max(step_seconds, 1e-9)
    return Common(
        memory=msgspec.structs.replace(
            memory, device_now=worst[0], device_peak=worst[1], process_now=worst[2], process_peak=worst[3]
        ),
        across=AcrossRanks(
            tokens_per_second_worst=min(tokens) / step_seconds,
            tokens_per_second_mean=sum(tokens) / len(tokens) / step_seconds,
            device_peak_mean=_mean(held[1]),
            process_peak_mean=_mean(held[3]),
            waited_seconds=max(seconds) - min(seconds),
        ),
        wished=bool(wishes[0]),
    )


def _mean(figures: Sequence[float]) -> int | None:
    known = [figure for figure in figures if figure >= 0]
    return int(sum(known) / len(known)) if known else None
