"""bitsandbytes' 4-bit linear maps without numbers: its real class, operations and bookkeeping on empty tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pegbox_hardware.forecast.setup import Quantization

BLOCK = 64
"""Weights that share one scale (bitsandbytes' blocksize)."""
NESTED_BLOCK = 256
"""Scales that share one scale of the second level, where scales are quantized too."""


def quantize(model: Any, quantization: Quantization, compute: torch.dtype) -> None:
    """Replace the linear maps that transformers would quantize: all but the output head."""
    from transformers.pytorch_utils import Conv1D
    from transformers.utils.quantization_config import QuantizationMethod

    head = model.get_output_embeddings()
    for module in list(model.modules()):
        for name, part in list(module.named_children()):
            if (type(part) is nn.Linear or isinstance(part, Conv1D)) and part is not head:
                setattr(module, name, _linear_4bit(part, quantization == "nf4-double", compute))
    model.is_loaded_in_4bit = model.is_quantized = True
    model.quantization_method = QuantizationMethod.BITS_AND_BYTES


def scales(model: nn.Module) -> Iterator[Tensor]:
    """List what belongs to the 4-bit weights beside the weights: scales of both levels and code tables."""
    for state in _states(model):
        yield state.absmax
        yield state.code
        if state.nested:
            yield from (state.offset, state.state2.absmax, state.state2.code)


def replace_scales(weight: Any, converted: Any) -> None:
    """Exchange the tensors in a 4-bit weight's state by `converted(tensor)`."""
    state = weight.quant_state
    state.absmax, state.code = converted(state.absmax), converted(state.code)
    if state.nested:
        state.offset = converted(state.offset)
        state.state2.absmax, state.state2.code = converted(state.state2.absmax), converted(state.state2.code)


WEIGHT_FIELDS = (
    "quant_state",
    "compress_statistics",
    "quant_type",
    "blocksize",
    "quant_storage",
    "bnb_quantized",
    "module",
)
"""Attributes that bitsandbytes reads off a 4-bit weight."""


def dequantized_bytes(shape: tuple[int, int], element: int, *, nested: bool) -> int:
    """Count what a 4-bit product unpacks on the GPU: the weight in the computation's format, and its scales.

    Source: bitsandbytes 0.50, backends/cuda/ops.py: beyond 1536 rows every card dequantizes first.
    """
    weights = shape[0] * shape[1]
    return weights * element + (weights // BLOCK * 4 if nested else 0)


def _states(model: nn.Module) -> Iterator[Any]:
    for module in model.modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None:
            yield state


def _linear_4bit(linear: Any, double: bool, compute: torch.dtype) -> nn.Module:
    """Make the module past its constructor, which would quantize numbers."""
    from bitsandbytes.nn.modules import Linear4bit

    made: Any = Linear4bit.__new__(Linear4bit)
    nn.Module.__init__(made)
    weight = linear.weight if isinstance(linear, nn.Linear) else linear.weight.t()  # Conv1D holds (d_in, d_out)
    made.out_features, made.in_features = weight.shape
    made.weight = _weight(weight, double, compute)
    made.bias = linear.bias
    made.compute_dtype, made.compute_type_is_set = compute, True
    made.quant_state, made.quant_storage = made.weight.quant_state, torch.uint8
    made.support_avx512bf16_for_cpu = False
    return made


def _weight(weight: Tensor, double: bool, compute: torch.dtype) -> Any:
    from bitsandbytes import functional

    state: Any = functional.QuantState
    count, blocks = weight.numel(), -(-weight.numel() // BLOCK)

    def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=weight.device)

    packed: Any = nn.Parameter(empty(-(-count // 2), 1, dtype=torch.uint8), requires_grad=False)
    second = state(
        absmax=empty(-(-blocks // NESTED_BLOCK)), code=empty(256), blocksize=NESTED_BLOCK, dtype=torch.float32
    )
    packed.quant_state = state(
        absmax=empty(blocks, dtype=torch.uint8 if double else torch.float32),
        shape=weight.shape,
        dtype=compute,
        code=empty(16),
        blocksize=BLOCK,
        quant_type="nf4",
        offset=empty() if double else None,
        state2=second if double else None,
    )
    packed.compress_statistics, packed.quant_type, packed.blocksize = double, "nf4", BLOCK
    packed.quant_storage, packed.bnb_quantized, packed.module = torch.uint8, True, None
    return packed
