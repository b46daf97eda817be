"""Attention as the GPU's kernels leave it in memory: what they give, what they keep for the backward, their scratch.

On a CPU torch would pick other kernels, which for some shapes write the whole matrix of scores.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

FLASH_ROUND = 128
"""flash-attention 2 rounds the length of its backward's accumulators up to it (`seqlen_q_rounded`)."""
EFFICIENT_ROUND = 32
"""The memory-efficient kernel aligns its log-sum-exp to it (`kAlignLSE`)."""
MASK_ALIGNMENT = 16
"""It wants rows of the mask at multiples of it, and copies a mask whose rows aren't (`pad_bias`)."""


class _FusedAttention(torch.autograd.Function):
    """Output (batch, heads, length, d) of flash attention or, with a mask, of the memory-efficient kernel."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        batch, heads, length, _ = query.shape
        # Both kernels write (batch, length, heads, d) and hand a transposed view out.
        output = query.new_empty(batch, length, heads, value.shape[-1]).transpose(1, 2)
        rounded = length if mask is None else -(-length // EFFICIENT_ROUND) * EFFICIENT_ROUND
        ctx.save_for_backward(
            query, key, value, mask, output, query.new_empty(batch, heads, rounded, dtype=torch.float32)
        )
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, _, _, _ = ctx.saved_tensors
        batch, heads, length, width = query.shape
        rounded = -(-length // FLASH_ROUND) * FLASH_ROUND
        gradient = gradient if gradient.stride(-1) == 1 else gradient.contiguous()
        gradients = tuple(_like_kernel(side) for side in (query, key, value))
        accumulator = query.new_empty(batch, heads, rounded, -(-width // 32) * 32, dtype=torch.float32)
        delta = query.new_empty(batch, heads, rounded, dtype=torch.float32)
        if key.shape[1] != heads:  # each query head writes its own; they are summed over the group afterwards
            expanded = (query.new_empty(batch, key.shape[2], heads, side.shape[-1]) for side in (key, value))
            del expanded
        del accumulator, delta
        return (*gradients, None)


def _like_kernel(side: Tensor) -> Tensor:
    """Lay a gradient out as the kernels do: (batch, length, heads, d), seen transposed."""
    batch, heads, length, width = side.shape
    return side.new_empty(batch, length, heads, width).transpose(1, 2)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001
    is_causal: bool = False,  # noqa: ARG001
    scale: float | None = None,  # noqa: ARG001
    enable_gqa: bool = False,  # noqa: ARG001
) -> Tensor:
    """Stand in for torch's function of that name; the numbers are not computed.

    Shapes: query (batch, heads, length, d), key (batch, groups, length, d), value (batch, groups, length, e),
    attn_mask broadcastable to (batch, heads, length, length).
    """
    if torch.is_autocast_enabled(query.device.type):
        dtype = torch.get_autocast_dtype(query.device.type)
        query, key, value = (side.to(dtype) for side in (query, key, value))
    if attn_mask is not None:
        attn_mask = _mask_of_kernel(attn_mask, query.dtype)
    return _FusedAttention.apply(query, key, value, attn_mask)


def _mask_of_kernel(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a boolean mask into the additive one of the computation's format, in aligned rows."""
    if mask.dtype == torch.bool:
        mask = torch.empty_like(mask, dtype=dtype)
    if mask.shape[-1] % MASK_ALIGNMENT and mask.dim() == 4:
        length = mask.shape[-1]
        padded = -(-length // MASK_ALIGNMENT) * MASK_ALIGNMENT
        mask = mask.new_empty(*mask.shape[:-1], padded)[..., :length]
    return mask
