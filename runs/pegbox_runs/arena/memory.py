"""Which memory of contestants is told and compared: one kind for a whole comparison. Light: a screen may ask."""

from __future__ import annotations

from collections.abc import Sequence

from pegbox_runs.arena.results import ContestantResult, SeedResult


def on_device(contestants: Sequence[ContestantResult]) -> bool:
    """Tell whether a comparison's memory is the device's own: all that are ranked, or else all that have any, know it.

    Else it is that of the process: on a CPU, where it is an upper bound, or where some were trained there.
    """
    ranked = [one for one in contestants if one.place is not None]
    asked = ranked or [one for one in contestants if one.device_peak is not None or one.process_peak is not None]
    return bool(asked) and all(one.device_peak is not None for one in asked)


def memory_of(one: ContestantResult | SeedResult, contestants: Sequence[ContestantResult]) -> int | None:
    """Give its peak, of the kind that the whole comparison is told in. Bytes; None: it isn't known."""
    return one.device_peak if on_device(contestants) else one.process_peak
