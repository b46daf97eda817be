"""QDoRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.dora.card import magnitudes
from pegbox_methods.zoo.qlora.card import PREPARATION
from pegbox_methods.zoo.shared.low_rank import (
    ALPHA,
    DROPOUT,
    PEFT_TABLE,
    QLORA_PAPER,
    RANK,
    TARGETS,
    adapter_weights,
    wanted,
)

ANSWER_AI = "Turgutlu and others at Answer.AI 2024, Efficient finetuning of Llama 3 with FSDP QDoRA"


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price QDoRA: DoRA's weights, and each packed map unpacked a second time in every pass, for its norms."""
    targets = wanted(settings["targets"])
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], targets) + magnitudes(shape, targets),
        step_time_ratio=None,
        step_time_source="not measured on a GPU; it does DoRA's work, QLoRA's, and unpacks every map once more",
    )


CARD = Card(
    name="qdora",
    title="QDoRA",
    summary="DoRA beside a base model packed into 4 bits: a trained number for each row's length, and LoRA's matrices.",
    source=f"Liu et al. 2024, arXiv:2402.09353; {ANSWER_AI}",
    settings=(
        RANK,
        ALPHA,
        msgspec.structs.replace(
            DROPOUT,
            default=0.0,
            help="Part of the adapter's inputs set to zero while training. Above 0 each adapted map is computed twice.",
        ),
        TARGETS,
        PREPARATION,
    ),
    learning_rate=1.5e-4,
    learning_rate_source="a little below LoRA's, as the README of NVlabs/DoRA asks",
    needs=Needs(quantized_base=True, linear_layers_only=False, compute_capability=(6, 0)),
    footprint=footprint,
    recommended=(
        Reason(
            when="the base model doesn't fit in 16 bits, and quality matters more than time",
            why="its authors found it as accurate as full fine-tuning in continued pre-training, in QLoRA's memory",
            source=ANSWER_AI,
        ),
    ),
    discouraged=(
        Reason(
            when="time matters, or the micro-batch is small",
            why="DoRA takes a quarter more time than LoRA even where nothing is packed, and here its norms have every "
            "map unpacked once more",
            source=f"{PEFT_TABLE}: 1191 s against 942 s; peft/tuners/lora/dora.py",
        ),
        Reason(
            when="the base model fits in 16 bits with room to spare",
            why="each pass unpacks every weight, and the lengths are those of rounded weights",
            source=QLORA_PAPER,
        ),
        Reason(
            when="vLLM shall serve the adapter as it is",
            why="it can't load DoRA's lengths; merge the adapter first",
            source="vllm#10849",
        ),
    ),
    torch_half="pegbox_methods.zoo.qdora.half_torch:half",
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring QDoRA in, by the same door as any guest."""
    return CARD
