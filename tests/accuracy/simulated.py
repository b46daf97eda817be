"""Level 2 against measured peaks: each row simulated as it was run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import msgspec

from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import CONTEXT_BYTES, SimulationRequest, SimulationResult, Stack
from tests.accuracy.rows import Measured, measured_rows

SOURCES = frozenset({"fms", "fms-kernels", "fms-liger", "peft"})
"""Runs of the libraries that are simulated; fms' own kernels aren't, but their losses are."""
GIB = 1 << 30
A100_BYTES = int(79.15 * GIB)
"""What an A100 of 80 GB has, as nvidia-smi tells it."""
FMS_NEWER_IMAGE_BYTES = int(1.16 * GIB)
"""What fms' image with transformers 4.48 holds on the card beyond that with 4.45: the rows 49 and 61, 50 and 62 are
the same set-ups with the same allocated peaks in both, and nvidia-smi differs by 1.18 and 1.14 GiB."""
FMS_NEWER_ROWS = range(47, 61)
PEFT_SHORTEST = 128
"""Batch before PEFT's longest, in tokens: its loop sorts 20 batches from long to short and empties the cache between
two such buckets."""
BELOW, ABOVE = 0.95, 1.06
"""The range that the simulator claims: of what is allocated, of what the card shows."""


def forecasts(
    wanted: Callable[[Measured], bool] = lambda row: not row.ran_out,
    unanswered: Callable[[Measured, str], None] = lambda row, why: None,
) -> Iterator[tuple[Measured, Forecast]]:
    """Simulate the measured rows at full depth, about 10 s each; `unanswered` is told those that don't trace."""
    from pegbox_worker.simulation.answer import simulate
    from pegbox_worker.simulation.unsupported import CannotSimulate

    for row in measured_rows():
        if row.source not in SOURCES or not wanted(row):
            continue
        try:
            result = simulate(request_of(row))
        except CannotSimulate as why:
            unanswered(row, why.sentence)
        else:
            yield row, _forecast(row, result)


def request_of(row: Measured, *, full_depth: bool = True) -> SimulationRequest:
    """Ask for a row's set-up, with what is known of the machine and the data it ran with."""
    if row.source == "peft":
        stack = msgspec.structs.replace(row.stack, evaluates=False, earlier_length=PEFT_SHORTEST)
        words = row.peft_config if row.setup.method != "full" else None
        setup = msgspec.structs.replace(row.setup, adapter_dtype="fp32")
        return _request(row, setup, stack, full_depth, peft_config=words)
    newer = row.id in FMS_NEWER_ROWS
    context = CONTEXT_BYTES + (FMS_NEWER_IMAGE_BYTES if newer else 0)
    stack = msgspec.structs.replace(row.stack, context_bytes=context, card_limit_bytes=A100_BYTES - context)
    # The rows say that QLoRA's adapters were bf16; what was allocated at rest says fp32, to the megabyte.
    setup = msgspec.structs.replace(row.setup, adapter_dtype="fp32")
    return _request(row, setup, stack, full_depth)


def _request(
    row: Measured, setup: TrainingSetup, stack: Stack, full_depth: bool, peft_config: dict[str, object] | None = None
) -> SimulationRequest:
    config = {key: value for key, value in row.config.items() if key not in ("hf_id", "gated_mlp", "config_source")}
    if row.source != "peft":
        config["sliding_window"] = None  # no row is longer than Mistral's
    return SimulationRequest(config=config, setup=setup, stack=stack, peft_config=peft_config, full_depth=full_depth)


def _forecast(row: Measured, result: SimulationResult) -> Forecast:
    card = (result.reserved_bytes if row.reserved else result.card_bytes) or 0
    return Forecast(
        level="simulated",
        allocated_bytes=result.allocated_bytes,
        card_bytes=card,
        safe_bytes=round(card * ABOVE),
        low_bytes=round(result.allocated_bytes * BELOW),
        high_bytes=round(card * ABOVE),
        items=result.items,
        phases=result.phases,
        peak_phase=result.peak_phase,
        trainable_weights=result.trainable_weights,
    )


if __name__ == "__main__":
    from tests.accuracy.report import report

    found = []
    for measured, forecast in forecasts(unanswered=lambda row, why: print(f"row {row.id}: {why}", file=sys.stderr)):
        found.append((measured, forecast))
        shares = [
            f"{100 * (predicted / actual - 1):+.2f} %" if actual else "-"
            for predicted, actual in (
                (forecast.allocated_bytes, measured.allocated),
                (forecast.card_bytes, measured.card or measured.reserved),
            )
        ]
        print(measured.id, measured.source, measured.method, *shares, sep="\t", file=sys.stderr, flush=True)
    print(report(found))
