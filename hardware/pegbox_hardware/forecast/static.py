"""What lies on the device from the first step to the last: weights, adapter, optimizer states; and the gradients."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pegbox_hardware.forecast.setup import WIDTH, TrainingSetup
from pegbox_hardware.shape import ModelShape

QUANT_BLOCK = 64
"""Weights that share one scale in NF4. Source: bitsandbytes' default blocksize."""
NESTED_BLOCK = 256
"""Scales that share one scale of their own under double quantization. Source: bitsandbytes' quantize_4bit."""
EIGHT_BIT_BLOCK = 256
"""Numbers of an 8-bit Adam state that share one fp32 scale. Source: bitsandbytes' quantize_blockwise."""
EIGHT_BIT_LEAST = 4096
"""Smaller tensors keep 32-bit states. Source: `min_8bit_size` of bitsandbytes' optimizers."""
PAGED_LEAST = 100_000
"""Smaller states are never paged. Source: `get_state_buffer` of bitsandbytes' Optimizer2State."""


class Static(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes by what they are for."""

    linear: float
    """The linear maps of the layers, packed if quantized, with their scales."""
    other: float
    """Embedding, head, norms, experts."""
    adapter: float
    optimizer: float
    paged: float
    """Optimizer states in memory that the driver may move to the host."""
    gradients: float

    @property
    def standing(self) -> float:
        """Bytes that torch holds all the time."""
        return self.linear + self.other + self.adapter + self.optimizer


def static_of(shape: ModelShape, setup: TrainingSetup, trained: Iterable[int], frozen_extra: int = 0) -> Static:
    """Price what stands still.

    `trained`: the sizes, in weights, of the adapter's tensors (ignored where the model itself is trained).
    `frozen_extra`: weights that a method adds without training them.
    """
    width = WIDTH[setup.dtype]
    linear = packed_bytes(shape.linear_weights, setup) if setup.quantized else float(shape.linear_weights * width)
    others = shape.weights - shape.linear_weights
    other = float(others * (4 if setup.quantized and setup.kbit_casts else width))
    tensors = _model_tensors(shape) if setup.full else list(trained)
    number = width if setup.full else WIDTH[setup.adapter_dtype]
    count = sum(tensors)
    resident, paged = _optimizer_bytes(setup, tensors, number)
    return Static(
        linear=linear,
        other=other,
        adapter=0.0 if setup.full else float((count + frozen_extra) * number),
        optimizer=resident,
        paged=paged,
        gradients=float(count * number),
    )


def packed_bytes(weights: int, setup: TrainingSetup) -> float:
    """Give the bytes of NF4 weights: half a byte each, and the scales.

    Source: Dettmers et al. 2023, section 3, arXiv:2305.14314.
    """
    scales = weights / QUANT_BLOCK
    if setup.quantization == "nf4":
        return weights / 2 + 4 * scales
    return weights / 2 + scales + 4 * scales / NESTED_BLOCK


def _optimizer_bytes(setup: TrainingSetup, tensors: list[int], number: int) -> tuple[float, float]:
    """Price the states of one optimizer: (resident, paged) bytes."""
    if setup.optimizer == "sgd":
        return 0.0, 0.0
    if setup.optimizer == "adamw":
        return 2.0 * number * sum(tensors), 0.0
    if setup.optimizer == "adafactor":
        # One fp32 number for each row and column: for the square of a tensor's side, twice its root.
        return sum(2 * 4 * count**0.5 for count in tensors), 0.0
    resident = paged = 0.0
    for count in tensors:
        state = 8.0 * count if count < EIGHT_BIT_LEAST else 2.0 * count * (1 + 4 / EIGHT_BIT_BLOCK)
        if setup.optimizer == "paged_adamw_8bit" and count >= PAGED_LEAST:
            paged += state
        else:
            resident += state
    return resident, paged


def _model_tensors(shape: ModelShape) -> list[int]:
    """List the sizes of the model's own weights, those of small ones taken together."""
    sizes = [shape.vocabulary * shape.hidden] * (1 if shape.tied_head else 2)
    for block in shape.blocks:
        sizes += [d_out * d_in for d_out, d_in in block.matrices.values()] * block.count
        sizes += [shape.hidden] * (block.count * (block.small_weights // shape.hidden))
        if block.experts is not None:
            stacked = block.experts.count * block.experts.inner * shape.hidden
            sizes += [2 * stacked, stacked] * block.count
    return [*sizes, max(0, shape.weights - sum(sizes))]
