"""Attention as the operations that torch runs for it: flash, memory-efficient, eager; grouped and latent heads."""

from __future__ import annotations

from pegbox_hardware.forecast.adapted_map import FP32
from pegbox_hardware.forecast.operations import Operations
from pegbox_hardware.forecast.tape import Tensor
from pegbox_hardware.shape import Block


def attention(ops: Operations, x: Tensor, block: Block) -> Tensor:
    """Write attention down, from the normed input to the output of its last linear map."""
    shape, tape = ops.shape, ops.tape
    names = [name for name in block.matrices if name in shape.attention]
    sizes = {name: block.matrices[name] for name in names}
    if shape.latent:
        query, key, value = _latent(ops, x, sizes)
    elif shape.fused_qkv:
        query, key, value = _views(ops, ops.linear(x, names[0], *sizes[names[0]]))
    else:
        query, key, value = (ops.linear(x, name, *sizes[name]) for name in names[:3])
    if shape.qk_norm:
        normed = ops.norm(query, shape.heads * shape.head), ops.norm(key, shape.kv_heads * shape.head)
        tape.drop(query, key)
        query, key = normed
    if shape.rotary and not shape.latent:
        turned = ops.rotate(query, shape.heads), ops.rotate(key, shape.kv_heads)
        tape.drop(query, key)
        query, key = turned
    held = (query, key, value)  # variables of the module, which live until it returns
    for tensor in held:
        tensor.holders += 1
    mixed = _kernel(ops, query, key, value)
    out = ops.linear(mixed, names[-1], *sizes[names[-1]])
    tape.drop(mixed, *held)
    return out


def _kernel(ops: Operations, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    if ops.shape.attention_cap or ops.setup.attention == "eager":
        return eager_kernel(ops, query, key, value)
    return fused_kernel(ops, query, key, value)


def _latent(ops: Operations, x: Tensor, sizes: dict[str, tuple[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Write DeepSeek's projections down: queries, and keys and values out of one narrow vector."""
    shape, tape = ops.shape, ops.tape
    if "q_a_proj" in sizes:
        narrow = ops.linear(x, "q_a_proj", *sizes["q_a_proj"])
        normed = ops.norm(narrow, sizes["q_a_proj"][0])
        query = ops.linear(normed, "q_b_proj", *sizes["q_b_proj"])
        tape.drop(narrow, normed)
    else:
        query = ops.linear(x, "q_proj", *sizes["q_proj"])
    both = ops.linear(x, "kv_a_proj_with_mqa", *sizes["kv_a_proj_with_mqa"])
    normed = ops.norm(both, sizes["kv_b_proj"][1])
    key_turned = ops.rotate(both, 1)
    query_turned = ops.rotate(query, shape.heads)
    tape.drop(both, query)
    expanded = ops.linear(normed, "kv_b_proj", *sizes["kv_b_proj"])
    tape.drop(normed)
    key = tape.run(
        (expanded, key_turned), float(ops.tokens * shape.heads * shape.head * expanded.width), expanded.width
    )
    tape.drop(key_turned)
    return query_turned, key, expanded  # values are a view of what was expanded


def _views(ops: Operations, fused: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cut queries, keys and values out of one matrix' output: views, until one must be in another format."""
    shape, tape = ops.shape, ops.tape
    parts = []
    for heads, turned in ((shape.heads, shape.rotary > 0), (shape.kv_heads, shape.rotary > 0), (shape.kv_heads, False)):
        if turned or not ops.lowers or fused.width == ops.compute:
            fused.holders += 1
            parts.append(fused)
        else:
            size = float(ops.tokens * heads * shape.head * ops.compute)
            parts.append(tape.run((fused,), size, ops.compute))
    tape.drop(fused)
    query, key, value = parts
    return query, key, value


def _repeat(ops: Operations, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Copy key and value heads until there are as many as query heads; takes its inputs over."""
    if ops.shape.kv_heads == ops.shape.heads:
        return tensors
    whole = float(ops.tokens * ops.shape.heads * ops.shape.head)
    made = tuple(ops.tape.run((tensor,), whole * tensor.width, tensor.width) for tensor in tensors)
    ops.tape.drop(*tensors)
    return made


def fused_kernel(ops: Operations, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Write torch's fused attention down: flash, or the memory-efficient kernel where padding makes a mask."""
    shape, setup, tape = ops.shape, ops.setup, ops.tape
    query, key, value = ops.lowered(query, key, value)
    masked = setup.padding and setup.attention == "sdpa"
    if masked:
        key, value = _repeat(ops, key, value)
    width = query.width
    saved = [query, key, value, tape.keep(ops.tokens * shape.heads * FP32)]
    if masked:  # the mask as an additive bias, one for each layer
        saved.append(tape.keep(ops.tokens * setup.length * width))
    gathered = ops.tokens * shape.heads * (shape.head + 1) * FP32  # the queries' gradient and a sum a row, in fp32
    size = float(ops.tokens * shape.heads * shape.value_head * width)
    out = tape.run((query, key, value), size, width, saves=saved, backward_scratch=gathered, saves_output=True)
    tape.drop(query, key, value)
    return out


def eager_kernel(ops: Operations, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Write attention down as plain products: a score for each pair of positions, in both formats."""
    shape, tape = ops.shape, ops.tape
    query, key, value = ops.lowered(query, key, value)
    key, value = _repeat(ops, key, value)
    width = query.width
    pairs = float(ops.tokens * shape.heads * ops.setup.length)
    raw = tape.run((query, key), pairs * width, width, saves=(query, key))
    scores = tape.run((raw,), pairs * width, width)
    tape.drop(raw)
    if shape.attention_cap:
        divided = tape.run((scores,), pairs * width, width)
        tape.drop(scores)
        bent = tape.run((divided,), pairs * width, width, saves_output=True)
        tape.drop(divided)
        scores = tape.run((bent,), pairs * width, width)
        tape.drop(bent)
    masked = tape.run((scores,), pairs * width, width, passes=True)
    tape.drop(scores)
    wide = ops.cast(masked, FP32)
    shares = tape.run((wide,), pairs * FP32, FP32, saves_output=True)
    tape.drop(wide, masked)
    low = ops.cast(shares, width)
    tape.drop(shares)
    size = float(ops.tokens * shape.heads * shape.value_head * width)
    mixed = tape.run((low, value), size, width, saves=(low, value))
    tape.drop(low, query, key, value)
    out = tape.run((mixed,), size, width)  # heads are put side by side again
    tape.drop(mixed)
    return out
