"""SHiRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.shared.low_rank import PEFT_TABLE, RANK, TARGETS, adapter_weights, wanted

PAPER = "Bhardwaj et al. 2024, arXiv:2406.13175"
STEP_TIME = 1003 / 942


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price SHiRA: as many weights as LoRA of that rank, out of the map's own."""
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], wanted(settings["targets"])),
        step_time_ratio=STEP_TIME,
        step_time_source=f"{PEFT_TABLE}: 1003 s against 942 s (LoRA), both of rank 32 on queries and values",
    )


CARD = Card(
    name="shira",
    title="SHiRA",
    summary="Trains a sparse choice of each linear map's own weights, drawn by chance, and no others.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            RANK,
            default=32,
            help="As many weights of a map are trained as LoRA of this rank would add; it bounds no rank.",
        ),
        TARGETS,
    ),
    learning_rate=3e-4,
    learning_rate_source=PEFT_TABLE,
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="quality matters, and a file of three times LoRA's size doesn't",
            why="it scored .510 against .478 for LoRA with as many weights, in a little less memory",
            source=PEFT_TABLE,
        ),
    ),
    discouraged=(
        Reason(
            when="the adapter shall be small, or served as it is",
            why="the file holds two positions beside each weight (110 MB where LoRA's has 37), and what it holds can't "
            "be turned into LoRA's matrices",
            source=f"{PEFT_TABLE}; supports_lora_conversion() in peft/tuners/shira/layer.py",
        ),
    ),
    torch_half="pegbox_methods.zoo.shira.half_torch:half",
    sharding="on a 4-bit base it looks for the packed form of a weight, which isn't with FSDP2's part of it",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring SHiRA in, by the same door as any guest."""
    return CARD
