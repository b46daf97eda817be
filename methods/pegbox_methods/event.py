"""What all events carry: the base that each kind adds its own fields to."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", gc=False):
    """What all events carry."""

    seq: int = 0
    """Number in this log, from 1, without gaps unless a line was lost."""
    time: float = 0.0
    """Seconds since 1970 in UTC, by the writing machine's clock."""


class Memory(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Memory in bytes; None where there is no device or no figure."""

    device_now: int | None = None
    """Allocated by tensors on the device."""
    device_peak: int | None = None
    """Most ever reserved on the device by this process."""
    process_now: int | None = None
    """Resident set of the worker."""
    process_peak: int | None = None
    """Largest resident set of the worker so far."""
