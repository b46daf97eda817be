"""What several processes do to the memory of each device: what is parted among them, and what each holds besides."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from pegbox_hardware.forecast.setup import WIDTH, TrainingSetup
from pegbox_hardware.forecast.static import Static, packed_bytes
from pegbox_hardware.shape import Block, ModelShape

UNITS_AT_ONCE = 2
"""Layers that are whole at once: the one at work, and the next, which is gathered meanwhile.

Source: torch's fully_shard, whose implicit prefetching overlaps the next all-gather with the present computation.
"""


@dataclass(frozen=True)
class Shares:
    """One device's part. Bytes."""

    static: Static
    gathered: float
    """FSDP2: what of the model is whole beside the device's own part of it."""
    buckets: float
    """DDP: a copy of the gradients, laid end to end so that few collectives carry them. Source: torch's Reducer, whose
    buckets are the gradients themselves only with `gradient_as_bucket_view`, which Accelerate leaves off."""


def shares_of(shape: ModelShape, setup: TrainingSetup, whole: Static) -> Shares:
    """Part what one process would hold among all of them.

    DDP parts nothing. FSDP2 parts weights, adapter, optimizer states and gradients. The head is whole from the end of
    the forward pass into the backward one; the scales of 4-bit weights are no parameters, so each process has all of
    them. Where a step takes several micro-batches, gradients are whole until the last one: only then are they summed
    up and parted.
    Source: Accelerate's fsdp2_prepare_model and no_sync; bitsandbytes' guide to FSDP-QLoRA.
    """
    if setup.processes == 1:
        return Shares(whole, 0.0, 0.0)
    if not setup.sharded:
        return Shares(whole, 0.0, whole.gradients)
    count = setup.processes
    scales = scale_bytes(shape, setup)
    gradients = whole.gradients
    if setup.accumulation == 1:
        gradients = whole.gradients / count + whole.gradients / shape.layers
    parted = msgspec.structs.replace(
        whole,
        linear=(whole.linear - scales) / count + scales,
        other=whole.other / count,
        experts=whole.experts / count,
        adapter=whole.adapter / count,
        optimizer=whole.optimizer / count,
        paged=whole.paged / count,
        gradients=gradients,
    )
    unit = max(unit_bytes(block, setup, shape) for block in shape.blocks) + whole.adapter / shape.layers
    return Shares(parted, UNITS_AT_ONCE * unit + head_bytes(shape, setup), 0.0)


def scale_bytes(shape: ModelShape, setup: TrainingSetup) -> float:
    """Give the bytes of the scales of 4-bit weights, which aren't parted."""
    if not (setup.quantized and shape.quantizable):
        return 0.0
    return packed_bytes(shape.linear_weights, setup) - shape.linear_weights / 2


def unit_bytes(block: Block, setup: TrainingSetup, shape: ModelShape) -> float:
    """Give the bytes of one layer's weights as they are gathered: packed, where they are."""
    width = WIDTH[setup.dtype]
    linear = sum(d_out * d_in for d_out, d_in in block.matrices.values())
    packed = 0.5 if setup.quantized and shape.quantizable else float(width)
    experts = block.experts.count * 3 * block.experts.inner * shape.hidden if block.experts else 0
    return linear * packed + experts * width + block.small_weights * width


def head_bytes(shape: ModelShape, setup: TrainingSetup) -> float:
    """Give the bytes of the output head, which may be the embedding too."""
    return float(shape.vocabulary * shape.hidden * (4 if setup.quantized and setup.kbit_casts else WIDTH[setup.dtype]))


def base_bytes(shape: ModelShape, setup: TrainingSetup) -> float:
    """Give the bytes of the base model that are gathered to make it whole once."""
    width = 4 if setup.quantized and setup.kbit_casts else WIDTH[setup.dtype]
    layers = sum(block.count * unit_bytes(block, setup, shape) for block in shape.blocks)
    return layers + (shape.vocabulary * shape.hidden + shape.head_weights + shape.small_weights) * width
