"""What a run says of the processes that carry it together. One that is alone says nothing of this."""

from __future__ import annotations

from typing import Literal

import msgspec

from pegbox_methods.event import Count, Event


class Member(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One process of several."""

    rank: Count
    """Its number, from 0; that one writes the log."""
    host: str
    """Machine on which it lives."""
    pid: Count
    """Its process id there."""
    device: str
    """Where it trains, as torch names it, with the card's name where it is a GPU: `cuda:1 (NVIDIA A10)`."""


class Joined(Event, frozen=True, kw_only=True, tag="joined", gc=False):
    """All processes are there, and the engine really spans them: both were asked of torch, not of the recipe."""

    engine: Literal["ddp", "fsdp2"]
    """Which wraps the model."""
    members: tuple[Member, ...]
    """By rank."""
    seconds: float
    """From the first one's coming to the last one's."""


class AcrossRanks(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A step's figures over all processes, where the step itself has the worst of memory and the sum of tokens."""

    tokens_per_second_worst: float
    """Of the process that had the fewest tokens."""
    tokens_per_second_mean: float
    """Tokens a second of one process."""
    device_peak_mean: Count | None
    """Mean of what each process reserved most on its device, in bytes; None: there is no device."""
    process_peak_mean: Count | None
    """Mean of the processes' largest resident sets, in bytes."""
    waited_seconds: float = 0.0
    """By how much the slowest process' rows and forward passes took longer than the fastest one's."""


class RankFailed(Event, frozen=True, kw_only=True, tag="rank-failed", gc=False):
    """One of several processes ended or hung, and the others can't go on without it."""

    rank: Count
    """Its number."""
    host: str
    """Machine on which it lived."""
    pid: Count
    """Its process id there; 0: it isn't known."""
    what: str
    """What happened to it, in one sentence."""
    first: bool
    """Whether it is what went wrong; else it only lost the others."""
    step: Count = 0
    """Steps it had done."""
    exit_code: int | None = None
    """None: a signal ended it, or it hung, or nobody saw its end."""
    signal: str | None = None
    """The signal that ended it, as `SIGKILL`."""
