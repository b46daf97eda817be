"""What one token and one micro-batch of training ask of a device: arithmetic, memory traffic, and kernels."""

from __future__ import annotations

import msgspec

from pegbox_hardware.forecast.setup import WIDTH, TrainingSetup
from pegbox_hardware.shape import Block, ModelShape

NORM_BYTES = 36
"""Read and written for each hidden element by one RMSNorm of transformers, whose fp32 steps are kernels of their own:
cast, square, mean, scale, cast, weight (modeling_llama.py)."""
ADD_WIDTHS = 3
"""A residual sum reads two numbers and writes one."""
GATE_WIDTHS = 5
"""Activation (read, write) and product (two reads, one write) of a gated MLP, for each inner element."""
ROTATION_WIDTHS = 11
"""cos product, negate and join, sin product, sum, for each element of queries and keys."""
ROUTING_WIDTHS = 7
"""A token's row gathered for an expert (2), scaled (2) and added to the sum (3), for each hidden element."""
ADAPTER_IN, ADAPTER_OUT, DROPOUT = 5, 5, 3
"""Numbers moved beside a target's own: input cast and read again; output scaled and added; input dropped out."""
BACKWARD_TRAFFIC = 1.8
"""Backward's elementwise traffic in forward passes: norms and gates move about twice, residual sums once."""
LOSS_BYTES = {"full": 28, "chunked": 28, "fused": 8}
"""Moved for each logit: cast to fp32, log-softmax, its gradient, cast back; a fused head keeps tiles in cache."""
SCORE_BYTES = 24
"""Moved for each attention score by eager attention: product, mask, softmax in fp32, cast, dropout, read again."""
OPTIMIZER_TOUCHES = 12
"""Times a trained number is read or written in a step: norm and clipping 3, fused AdamW 7, zeroing 1, loss scale 1."""
KERNELS_OF_LAYER, KERNELS_OF_ADAPTER = 45, 7
"""Kernels of one forward pass through a layer of transformers without fusion, and those that one adapted map adds."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What training asks of a device."""

    flops_per_token: float
    forward_flops_per_token: float
    """An evaluation's share."""
    traffic_per_token: float
    """Bytes between chip and memory beside the matrix products."""
    weight_bytes: float
    """Bytes of weights that the matrix products of one micro-batch read, however few tokens it holds."""
    unpacking_bytes: float
    """Bytes moved in one micro-batch to turn 4-bit weights into 16-bit ones."""
    optimizer_bytes: float
    """Bytes moved in one optimizer step."""
    kernels: float
    """Kernels launched for one micro-batch."""
    experts: bool
    """The layers hold a mixture of experts."""


def work_of(shape: ModelShape, setup: TrainingSetup, trainable_weights: int) -> Work:
    """Count what a set-up asks of a device.

    A frozen weight costs 2 FLOP forward and 2 backward (the gradient passes through it), a trained one 2 and 4, and
    checkpointing adds a layer's forward again. Adapters come on top of the frozen base.
    Source: Kaplan et al. 2020, arXiv:2001.08361, section 2.1; Hu et al. 2021, arXiv:2106.09685.
    """
    full = trains_base(shape, setup, trainable_weights)
    passes = (3 if full else 2) + setup.checkpointing
    matrices, head = active_layer_weights(shape), shape.vocabulary * shape.hidden
    # Backward through flash attention computes its scores once more: 2.5 times forward (arXiv:2205.14135, section 3.1).
    attention = _attention_flops(shape, setup)
    adapters = 0 if full else trainable_weights * (6 + 2 * setup.checkpointing)
    head_passes = (3 if full else 2) + (setup.loss != "full")
    width = WIDTH[setup.dtype]
    forward_traffic = sum(block.count * _layer_bytes(shape, block, setup, width) for block in shape.blocks)
    forward_traffic += 0 if full else _adapter_bytes(shape, setup, width)
    linear = shape.linear_weights
    adapted = 0 if full or not setup.targets else sum(count for count, *_ in shape.adapted(setup.targets))
    traffic_passes = 1 + BACKWARD_TRAFFIC + setup.checkpointing
    layers = 2 * matrices * passes + attention * (3.5 + setup.checkpointing)
    return Work(
        flops_per_token=layers + adapters + 2 * head * head_passes,
        forward_flops_per_token=2 * matrices + attention + 2 * head,
        traffic_per_token=forward_traffic * traffic_passes + shape.vocabulary * LOSS_BYTES[setup.loss],
        weight_bytes=(linear + shape.expert_weights) * width * passes + head * width * head_passes,
        unpacking_bytes=0 if setup.quantization == "none" else linear * (0.5 + 2 * width) * passes,
        optimizer_bytes=trainable_weights * OPTIMIZER_TOUCHES * (width if full else WIDTH[setup.adapter_dtype]),
        experts=shape.expert_weights > 0,
        kernels=(shape.layers * KERNELS_OF_LAYER + adapted * KERNELS_OF_ADAPTER) * (3 + setup.checkpointing),
    )


def trains_base(shape: ModelShape, setup: TrainingSetup, trainable_weights: int) -> bool:
    """Whether the base model's own weights are trained, and not an adapter beside them."""
    return setup.method == "full" or trainable_weights > shape.weights // 2


def active_layer_weights(shape: ModelShape) -> int:
    """Count the weights in the layers' matrices that one token meets: of the experts, only those it goes through."""
    experts = sum(
        block.count * block.experts.active * 3 * block.experts.inner * shape.hidden
        for block in shape.blocks
        if block.experts
    )
    return shape.linear_weights + experts


def _attention_flops(shape: ModelShape, setup: TrainingSetup) -> float:
    """Count forward FLOP of scores and their product with the values, for a token of a row of full length.

    A causal kernel computes half of the square; with a mask for padding, or eagerly, all of it.
    """
    seen = setup.length / 2 if setup.attention == "flash" or not _masked(setup) else setup.length
    return 2.0 * shape.layers * seen * shape.heads * (shape.head + shape.value_head)


def _masked(setup: TrainingSetup) -> bool:
    return setup.padding or setup.attention == "eager"


def _layer_bytes(shape: ModelShape, block: Block, setup: TrainingSetup, width: int) -> float:
    """Count bytes moved for one token in one layer's forward pass, matrix products apart."""
    inner = block.inner + (block.experts.active * block.experts.inner if block.experts else 0)
    # PEFT's preparation keeps norms and residuals in fp32.
    stream = 2 * width if setup.kbit_casts and setup.quantization != "none" else width
    moved = shape.hidden * (shape.norms * NORM_BYTES * stream / 2 + 2 * ADD_WIDTHS * stream)
    moved += inner * (GATE_WIDTHS if shape.gated else 2) * width
    moved += (shape.heads + shape.kv_heads) * shape.head * shape.rotary * ROTATION_WIDTHS * width
    if block.experts:
        moved += block.experts.active * shape.hidden * ROUTING_WIDTHS * width
    if setup.attention == "eager":
        moved += shape.heads * setup.length * SCORE_BYTES
    return moved


def _adapter_bytes(shape: ModelShape, setup: TrainingSetup, width: int) -> float:
    """Count bytes that adapters move for one token in a forward pass, over all layers."""
    if not setup.targets:
        return 0.0
    adapted, into = shape.adapted(setup.targets), ADAPTER_IN + (DROPOUT if setup.dropout else 0)
    return sum(count * (d_in * into + d_out * ADAPTER_OUT) * width for count, _, d_out, d_in in adapted)
