"""What is seen of a run from beside it: by its sentinel, by its method, by the device's driver."""

from __future__ import annotations

from typing import Literal

import msgspec

from pegbox_methods.event import Count, Event


class Check(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that was looked at."""

    name: str
    """A short stable word: `base-unchanged`, `gradients`, `learning-rate`..."""
    verdict: Literal["passed", "unsure", "failed", "not-applicable"]
    """`unsure`: a person should look. `failed` ends the run."""
    text: str
    """What was found, and what to do if anything."""


class Inspected(Event, frozen=True, kw_only=True, tag="inspected", gc=False):
    """The sentinel looked whether the run does what it says."""

    step: Count
    """After which step."""
    checks: tuple[Check, ...]
    """What was looked at."""
    seconds: float
    """What all looking has cost so far."""


class Ranks(Event, frozen=True, kw_only=True, tag="ranks", gc=False):
    """The method moved rank from one matrix to another."""

    step: Count
    """After which step."""
    ranks: dict[str, Count]
    """Rank in use, by the matrix' name in the model."""
    before: Count
    """Sum of the ranks before the first move."""


class Load(Event, frozen=True, kw_only=True, tag="load", gc=False):
    """What the device was doing while the run trained, every few seconds; never told of a processor."""

    step: Count
    """Steps that were done."""
    device_use: float | None
    """Share of the time in which it computed, by its driver; None: the driver doesn't tell."""
    temperature_c: float | None
    """Degrees Celsius."""
    power_w: float | None
    """Watts."""
    power_limit_w: float | None
    """The most it may take."""
    temperature_limit_c: float | None = None
    """At which the card slows itself down, by its own word."""
    memory_used: Count | None = None
    """Bytes taken on the device, by all processes."""
    memory_total: Count | None = None
    """Bytes that the device has."""
    maker: Literal["nvidia", "amd"] | None = None
    """Whose driver tells it; None in logs of earlier versions."""
