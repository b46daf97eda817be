"""QLoRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import (
    ALPHA,
    DROPOUT,
    QLORA_PAPER,
    RANK,
    TARGETS,
    adapter_weights,
    wanted,
)

PREPARATION = Setting(
    name="preparation",
    kind="choice",
    default="lean",
    choices=("lean", "full"),
    help="What becomes of embeddings, norms and head: 'lean' leaves them in the run's format, 'full' turns them into "
    "fp32, for 2 GB more with an 8B model of 128,000 tokens; on a CPU they are in fp32 anyway.",
)
"""'full' is PEFT's prepare_model_for_kbit_training. TRL left it out for equal results in less memory: trl#4457.

An 8B Llama has 2 x 128,256 x 4,096 weights in embedding and head, and 65 x 4,096 in its norms: 2.1 GB more.
"""
SLOWER = (
    "no GPU was measured; on a CPU (SmolLM2-135M, TRL 1.16) 15.3 against 13.4 CPU-seconds per 1000 tokens. Unpacking "
    "costs the same however few tokens there are, so small micro-batches lose more"
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price QLoRA: LoRA's weights, and the base unpacked matrix by matrix in each pass."""
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], wanted(settings["targets"])),
        step_time_ratio=None,
        cpu_step_time_ratio=1.2,
        step_time_source=SLOWER,
    )


CARD = Card(
    name="qlora",
    title="QLoRA",
    summary="LoRA beside a base model packed into 4 bits (NF4, doubly quantized): about a third of the memory.",
    source=QLORA_PAPER,
    settings=(RANK, ALPHA, DROPOUT, TARGETS, PREPARATION),
    learning_rate=2e-4,
    learning_rate_source=f"{QLORA_PAPER}, table 9: 2e-4 up to 13B, 1e-4 above",
    # bitsandbytes' 4-bit kernels begin with Pascal; a CPU has its own since 0.50.
    needs=Needs(quantized_base=True, linear_layers_only=False, compute_capability=(6, 0)),
    footprint=footprint,
    recommended=(
        Reason(
            when="the base model doesn't fit in 16 bits",
            why="its linear maps take 4.13 bits a weight instead of 16, and the tuned model is as good",
            source=f"{QLORA_PAPER}, sections 3 and 4",
        ),
    ),
    discouraged=(
        Reason(
            when="the base model fits in 16 bits with room to spare",
            why="each pass unpacks every weight, and the base answers a little worse until the adapter is merged",
            source="measured with SmolLM2-135M: loss 3.18 packed, 2.89 not; 2.56 and 2.42 after the same 20 steps",
        ),
        Reason(
            when="most of the weights are experts",
            why="transformers stacks them in parameters that bitsandbytes leaves unpacked",
            source="transformers' replace_with_bnb_linear, which takes linear maps alone",
        ),
    ),
    torch_half="pegbox_methods.zoo.qlora.half_torch:half",
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring QLoRA in, by the same door as any guest."""
    return CARD
