"""LN tuning's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_hardware.shape import Block, ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.shared.low_rank import PEFT_TABLE

PAPER = "Zhao et al. 2023, arXiv:2312.11420"
STEP_TIME = 933 / 942
WIDE_QK_NORM = frozenset({"olmo2", "stablelm"})
"""Families whose norms of queries and keys are as wide as all heads together; the others' are as wide as one head."""
NO_LAST_NORM = frozenset({"openai-gpt"})
"""Families whose last layer ends in its own norm."""
LATENT = frozenset({"q_b_proj", "kv_b_proj"})
"""Maps of latent attention whose input goes through a norm of its width."""


def footprint(shape: ModelShape, _settings: Mapping[str, Any]) -> Footprint:
    """Price LN tuning: a copy of every norm is trained."""
    last = 0 if shape.architecture in NO_LAST_NORM else _full_norm(shape)
    return Footprint(
        trainable_weights=last + sum(block.count * _norm_weights(shape, block) for block in shape.blocks),
        step_time_ratio=STEP_TIME,
        step_time_source=f"{PEFT_TABLE}: 933 s against 942 s (LoRA, rank 32)",
    )


def _full_norm(shape: ModelShape) -> int:
    """Count a norm over the hidden width; LayerNorm has a bias beside its weight."""
    return shape.hidden * (2 if shape.norm == "layer" else 1)


def _norm_weights(shape: ModelShape, block: Block) -> int:
    """Count the weights of one layer's norms."""
    count = shape.norms * _full_norm(shape)
    if shape.qk_norm and shape.architecture in WIDE_QK_NORM:
        count += (shape.heads + shape.kv_heads) * shape.head
    elif shape.qk_norm:
        count += 2 * shape.head
    if shape.latent:
        count += sum(d_in for name, (_, d_in) in block.matrices.items() if name in LATENT)
    return count


CARD = Card(
    name="ln-tuning",
    title="LN tuning",
    summary="Trains the norms between the layers: one number a channel, and nothing else of the model.",
    source=PAPER,
    settings=(),
    learning_rate=3e-3,
    learning_rate_source="measured with SmolLM2-135M, 15 steps of 4 rows: held-out loss 2.93 to 1.49; 2.15 at 1e-3",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="the adapter shall be as small as can be, and change nothing but tone or format",
            why="a 3B model has 175,104 such weights; once merged, the model is as fast as before",
            source=f"{PAPER}; {PEFT_TABLE}",
        ),
    ),
    discouraged=(
        Reason(
            when="the model shall learn something hard",
            why="at a learning rate of 1e-4 and with bfloat16 norms, in which steps so small are rounded away, it "
            "scored .000 against LoRA's .478; here norms are in float32 and steps larger, but nobody has measured that "
            "against LoRA",
            source=PEFT_TABLE,
        ),
    ),
    torch_half="pegbox_methods.zoo.ln_tuning.half_torch:half",
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring LN tuning in, by the same door as any guest."""
    return CARD
