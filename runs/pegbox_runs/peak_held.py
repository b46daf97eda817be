"""The measured peak of memory, held against what was forecast of it."""

from __future__ import annotations

from pegbox_runs.expected import Expected
from pegbox_runs.figures import size
from pegbox_runs.run_state import RunState


def measured_peak(state: RunState, expected: Expected | None) -> int | None:
    """Give the peak that can be held against the forecast, which is of all that the run takes on the card.

    Where the driver tells it, that is what the card holds more than before the start; else what torch has reserved,
    which lacks the driver's own part. Of a run on the processor, what its process took. None: no step was taken yet.
    """
    if state.step is None:
        return None
    reserved = state.peak.device_peak
    if reserved is None:
        return state.peak.process_peak
    held = state.most_memory_used
    others = max(0, expected.memory_total - expected.memory_free) if expected is not None else held
    return max(reserved, held - others)


def peak_verdict(state: RunState, expected: Expected | None) -> str | None:
    """Hold the peak against the forecast, in words; None: one of them isn't there."""
    memory = expected.memory if expected else None
    peak = measured_peak(state, expected)
    if memory is None or peak is None:
        return None
    if peak > memory.high_bytes:
        return f"the peak lies {size(peak - memory.high_bytes)} above the forecast's range"
    if peak < memory.low_bytes:
        return f"the peak lies {size(memory.low_bytes - peak)} below the forecast's range"
    return "the peak lies within the forecast's range"
