"""LoRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.shared.low_rank import (
    ALPHA,
    DROPOUT,
    LORA_PAPER,
    QLORA_PAPER,
    RANK,
    TARGETS,
    adapter_weights,
    wanted,
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price LoRA, the unit in which the other methods' step times are given."""
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], wanted(settings["targets"])),
        step_time_ratio=1.0,
        cpu_step_time_ratio=1.0,
        step_time_source="by definition",
    )


CARD = Card(
    name="lora",
    title="LoRA",
    summary="Trains two thin matrices beside each linear map; the base model stays as it is.",
    source=LORA_PAPER,
    settings=(RANK, ALPHA, DROPOUT, TARGETS),
    learning_rate=2e-4,
    learning_rate_source="about ten times full fine-tuning's; QLoRA paper, arXiv:2305.14314, table 9",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="the base model fits in 16 bits with room to spare",
            why="the fastest method per step of those that adapt every layer, and every server can load it",
            source=LORA_PAPER,
        ),
    ),
    discouraged=(
        Reason(
            when="the base model doesn't fit in 16 bits",
            why="its weights alone would fill the device; a 4-bit base needs about a third of it",
            source=QLORA_PAPER,
        ),
    ),
    torch_half="pegbox_methods.zoo.lora.half_torch:half",
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring LoRA in, by the same door as any guest."""
    return CARD
