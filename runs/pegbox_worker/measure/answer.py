"""From the ledger's figures to the answer of the job `measure`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pegbox_hardware.forecast.simulated import CONTEXT_BYTES
from pegbox_runs.measured import DeviceKind, MeasuredPart, Measurement, MeasureRequest
from pegbox_worker.measure.ledger import Ledger
from pegbox_worker.measure.meters import CardMeter, ProcessMeter

NO_CONTEXT = (
    "what the driver's context takes could not be told (shared memory, or another process came or went meanwhile); "
    f"{CONTEXT_BYTES / 2**20:.0f} MiB are assumed."
)
PROCESS = "figures are the process' resident memory above the imported libraries: a CPU has no allocator of its own."


@dataclass(frozen=True)
class MeasuredDevice:
    """What was measured, by the names that `probe()` gives."""

    kind: DeviceKind
    name: str
    driver: str | None
    torch: str
    """Version of the installed distribution."""


def measurement(
    asked: MeasureRequest, device: MeasuredDevice, ledger: Ledger, *, ran_out: str | None, accumulation: int
) -> Measurement:
    """Draw the figures of the whole together.

    `ran_out`: the part in which memory ran out; `accumulation`: micro-batches in a step of the probe.
    """
    parts, meter = ledger.parts, ledger.meter
    allocated = max((part.allocated_bytes for part in parts), default=0)
    reserved = max((part.reserved_bytes for part in parts if part.reserved_bytes is not None), default=None)
    # Kernels are loaded when they are first used, so the context grows.
    context = max((part.outside_bytes for part in parts if part.outside_bytes is not None), default=None)
    notes: list[str] = []
    retries = 0
    if isinstance(meter, ProcessMeter):
        notes.append(PROCESS)
        card = allocated + meter.libraries_bytes
    else:
        card = (reserved or 0) + (CONTEXT_BYTES if context is None else context)
        if context is None:
            notes.append(NO_CONTEXT)
        retries = meter.retries() if isinstance(meter, CardMeter) else 0
        if retries:
            notes.append(f"the card is all but full: torch had to give cached memory back {retries} times.")
    step = _step(parts)
    return Measurement(
        figures=meter.kind,
        device_kind=device.kind,
        device=device.name,
        driver=device.driver,
        torch=device.torch,
        setting=asked.setting,
        parts=tuple(parts),
        allocated_bytes=allocated,
        card_bytes=card,
        context_bytes=context,
        reserved_bytes=reserved,
        reserved_ratio=reserved / allocated if reserved and allocated else None,
        cache_flushes=retries,
        tokens_per_second=None if step is None else step[1] / step[0],
        step_seconds=None if step is None else step[0] * asked.recipe.training.accumulation / accumulation,
        fits=ran_out is None,
        ran_out_of_memory=ran_out,
        notes=tuple(notes),
    )


def _step(parts: Sequence[MeasuredPart]) -> tuple[float, int] | None:
    """Give (seconds, tokens) of a usual step at the worst shape: the first of all also loads kernels, so it is left
    out. None: there was no second one."""
    steps = [
        pair
        for part in parts
        if part.name in {"worst shape", "worst shape again"}
        for pair in zip(part.step_seconds, part.step_tokens, strict=True)
    ][1:]
    if not steps:
        return None
    return statistics.median(seconds for seconds, _ in steps), steps[0][1]
