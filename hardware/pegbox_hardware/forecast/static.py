"""What lies on the device from the first step to the last: weights, adapter, optimizer states; and the gradients."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pegbox_hardware.forecast.adapters import MethodCost
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
    """Embedding, head, norms."""
    experts: float
    adapter: float
    optimizer: float
    paged: float
    """Optimizer states in memory that the driver may move to the host."""
    gradients: float

    @property
    def standing(self) -> float:
        """Bytes that torch holds all the time."""
        return self.linear + self.other + self.experts + self.adapter + self.optimizer


def static_of(shape: ModelShape, setup: TrainingSetup, cost: MethodCost) -> Static:
    """Price what stands still."""
    width = WIDTH[setup.dtype]
    packed = setup.quantized and shape.quantizable
    linear = packed_bytes(shape.linear_weights, setup) if packed else float(shape.linear_weights * width)
    rest = 4 if setup.quantized and setup.kbit_casts else width
    others = shape.weights - shape.linear_weights - shape.expert_weights
    number = width if setup.full else WIDTH[setup.adapter_dtype]
    count = cost.trainable_weights
    resident, paged = _optimizer_bytes(setup, cost.trained, number)
    return Static(
        linear=linear,
        other=float(others * rest),
        experts=float(shape.expert_weights * rest),
        adapter=0.0 if setup.full else float((count + cost.frozen) * number),
        optimizer=resident + cost.state_copies * count * number,
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


def _optimizer_bytes(setup: TrainingSetup, tensors: Iterable[tuple[int, int]], number: int) -> tuple[float, float]:
    """Price the states of one optimizer: (resident, paged) bytes."""
    if setup.optimizer == "sgd":
        return 0.0, 0.0
    if setup.optimizer == "adamw":
        return 2.0 * number * sum(count * size for count, size in tensors), 0.0
    if setup.optimizer == "adafactor":
        # One fp32 number for each row and column: at least twice the root of a matrix' size.
        return sum(count * 2 * 4 * size**0.5 for count, size in tensors), 0.0
    resident = paged = 0.0
    for count, size in tensors:
        state = 8.0 * size if size < EIGHT_BIT_LEAST else 2.0 * size * (1 + 4 / EIGHT_BIT_BLOCK)
        if setup.optimizer == "paged_adamw_8bit" and size >= PAGED_LEAST:
            paged += count * state
        else:
            resident += count * state
    return resident, paged
