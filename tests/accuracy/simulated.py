"""Level 2 against measured peaks: each row simulated as it was run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import CONTEXT_BYTES, SimulationRequest, SimulationResult, Stack
from pegbox_worker.simulation.answer import simulate
from pegbox_worker.simulation.unsupported import CannotSimulate

MEASURED = Path(__file__).parents[1] / "reference" / "memory_peaks.jsonl"
GIB = 1 << 30
FMS_A100_BYTES = int(79.15 * GIB)
"""What an A100 of 80 GB has, as nvidia-smi tells it."""
FMS_NEWER_IMAGE_BYTES = int(1.16 * GIB)
"""What the fms image with transformers 4.48 holds on the card beyond that with 4.45: the rows 49 and 61, 50 and 62
are the same set-ups with the same allocated peaks in both, and nvidia-smi differs by 1.18 and 1.14 GiB."""
PEFT_LENGTH = 700
"""Longest padded batch of PEFT's comparison (the reference's README)."""
PEFT_SHORTEST = 128
"""The batch before it: its loop sorts 20 batches from long to short and empties the cache between two such buckets."""
PROJECTIONS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"}


class AccuracyRow(NamedTuple):
    """One measured figure and its prediction, in bytes."""

    row: int
    source: str
    model: str
    method: str
    metric: str
    measured: int
    predicted: int

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted / self.measured - 1


def rows(
    wanted: Callable[[dict[str, Any]], bool] = lambda row: True,
    unanswered: Callable[[int, str], None] = lambda row, why: None,
) -> Iterator[AccuracyRow]:
    """Simulate the measured rows whose software path can be run; `unanswered` is told those that don't trace."""
    for row in map(json.loads, MEASURED.read_text(encoding="utf-8").splitlines()):
        request = _fms(row) or _peft(row)
        if request is None or row.get("oom") or not wanted(row):
            continue
        try:
            result = simulate(request)
        except CannotSimulate as why:
            unanswered(row["id"], why.sentence)
        else:
            yield from _compared(row, result)


def table(compared: Iterable[AccuracyRow]) -> str:
    """Print n, median, p90, worst under and worst over by source, method and metric, in percent."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for row in compared:
        for method in (row.method, "all"):
            groups.setdefault((row.metric, row.source, method), []).append(100 * row.error)
    lines = [f"{'metric':<10}{'source':<20}{'method':<18}{'n':>4}{'median':>8}{'p90':>7}{'under':>8}{'over':>7}"]
    for (metric, source, method), errors in sorted(groups.items()):
        sizes = sorted(map(abs, errors))
        p90 = sizes[min(len(sizes) - 1, int(0.9 * len(sizes)))]
        figures = (
            f"{len(errors):>4}{median(sizes):>8.2f}{p90:>7.2f}{min(0, *errors, 0):>8.2f}{max(0, *errors, 0):>7.2f}"
        )
        lines.append(f"{metric:<10}{source:<20}{method:<18}{figures}")
    return "\n".join(lines)


def _compared(row: dict[str, Any], result: SimulationResult) -> Iterator[AccuracyRow]:
    reserved = result.reserved_bytes or 0
    if row["source_repo"] == "huggingface/peft":
        yield AccuracyRow(row["id"], "peft", row["model"], row["method"], "reserved", row["measured_bytes"], reserved)
        return
    source = "fms, own kernels" if row["foak"] else "fms"
    measured, shown = int(row["measured_bytes"]), int(row["nvidia_smi_bytes"])
    yield AccuracyRow(row["id"], source, row["model"], row["method"], "allocated", measured, result.allocated_bytes)
    yield AccuracyRow(row["id"], source, row["model"], row["method"], "card", shown, result.card_bytes or 0)


def _fms(row: dict[str, Any]) -> SimulationRequest | None:
    """fms-acceleration: HF Trainer with checkpointing, A100. Its own kernels (foak) aren't run here, only its losses."""
    if row["source_repo"] != "foundation-model-stack/fms-acceleration":
        return None
    newer = "4.48" in row["framework"]
    loss = row["loss_impl"]
    context = CONTEXT_BYTES + (FMS_NEWER_IMAGE_BYTES if newer else 0)
    left_out = ("hf_id", "gated_mlp")
    shape = {key: value for key, value in row["model_config"].items() if key not in left_out}
    setup = TrainingSetup(
        method="full" if row["method"] == "FULL" else "lora",
        rank=row.get("r") or 16,
        targets=tuple(PROJECTIONS[target] for target in row.get("target_modules") or ()) or ("all-linear",),
        micro_batch=row["batch_size"],
        length=row["seq_len"],
        accumulation=1,
        # The rows say that QLoRA's adapters were bf16; what was allocated at rest says fp32, to the megabyte.
        adapter_dtype="fp32",
        autocast="autocast" in row["dtype"],
        quantization="nf4-double" if row["method"] == "QLORA" else "none",
        dropout=row.get("lora_dropout") or 0.0,
        loss="fused" if "liger" in loss else "full",
        attention="flash",
        padding=False,
    )
    stack = Stack(
        foreach_optimizer=True,
        logits_shifted=loss.startswith("plain"),
        in_place_loss="fast" in loss,
        fp32_norms=bool(row.get("fp32_norms")),
        reentrant_checkpointing=True,
        evaluates=False,
        context_bytes=context,
        card_limit_bytes=FMS_A100_BYTES - context,
    )
    config = {**shape, "model_type": "mistral", "sliding_window": None, "max_position_embeddings": 32768}
    return SimulationRequest(config=config, setup=setup, stack=stack, full_depth=True)


def _peft(row: dict[str, Any]) -> SimulationRequest | None:
    """PEFT's method_comparison: a loop of its own, no autocast, no checkpointing, padded batches."""
    if row["source_repo"] != "huggingface/peft":
        return None
    full = row["method"] == "FULL"
    setup = TrainingSetup(
        method="full" if full else "lora",
        micro_batch=row["batch_size"],
        length=PEFT_LENGTH,
        accumulation=1,
        checkpointing=False,
        autocast=False,
        dropout=0.0,
        loss="full",
    )
    stack = Stack(foreach_optimizer=True, own_loop=True, evaluates=False, earlier_length=PEFT_SHORTEST)
    config = {key: value for key, value in row["model_config"].items() if key != "config_source"}
    words = None if full else row["peft_config"]
    return SimulationRequest(config=config, setup=setup, stack=stack, peft_config=words, full_depth=True)


if __name__ == "__main__":
    found = []
    for compared in rows(unanswered=lambda row, why: print(f"row {row}: no answer: {why}", file=sys.stderr)):
        found.append(compared)
        print(*compared[:5], f"{100 * compared.error:+.2f} %", sep="\t", file=sys.stderr, flush=True)
    print(table(found))
