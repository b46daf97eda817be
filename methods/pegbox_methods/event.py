"""What all events carry: the base that each kind adds its own fields to."""

from __future__ import annotations

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A whole number from 0 that 64 bits hold: sums, curves and drawings go on with it."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", gc=False):
    """What all events carry."""

    seq: int = 0
    """Number in this log, from 1, without gaps unless a line was lost."""
    time: float = 0.0
    """Seconds since 1970 in UTC, by the writing machine's clock."""


class Memory(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Memory in bytes; None where there is no device or no figure."""

    device_now: Count | None = None
    """Reserved on the device by this process: its tensors, and what torch keeps for the next ones."""
    device_peak: Count | None = None
    """Most ever reserved on the device by this process."""
    process_now: Count | None = None
    """Resident set of the worker."""
    process_peak: Count | None = None
    """Largest resident set of the worker so far."""
