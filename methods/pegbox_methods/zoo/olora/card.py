"""OLoRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.pissa.card import ROUNDED_ANEW, TAKEN_OUT, TWICE_THE_RANK
from pegbox_methods.zoo.shared.low_rank import ALPHA, DROPOUT, RANK, TARGETS, adapter_weights, wanted

PAPER = "Büyükakyüz 2024, arXiv:2406.01775"
EXAMPLE = "PEFT's examples/olora_finetuning"


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price OLoRA: LoRA's own weights and work, after a decomposition at the beginning."""
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], wanted(settings["targets"])),
        step_time_ratio=1.0,
        step_time_source="LoRA's own computation, once the weights are decomposed",
    )


CARD = Card(
    name="olora",
    title="OLoRA",
    summary="LoRA that begins as orthogonal directions of the weights themselves; saved as LoRA of twice the rank.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(RANK, default=32),
        msgspec.structs.replace(
            ALPHA, default=16.0, help="The update is scaled by alpha / rank; so much of it is taken out of the weights."
        ),
        msgspec.structs.replace(
            DROPOUT,
            default=0.0,
            help="Part of the adapter's inputs set to zero while training; it takes directions of the base's own away "
            "with them.",
        ),
        TARGETS,
    ),
    learning_rate=3e-4,
    learning_rate_source=f"{EXAMPLE}: 3e-4 with rank 32 and alpha 16",
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="few steps must do, and decomposing the weights must be quick",
            why="it learns faster than LoRA from the first step, and a QR takes a fifth of an exact SVD's time",
            source=f"{PAPER}, abstract; SmolLM2-135M on a CPU: 3.4 s against PiSSA's 17 s",
        ),
    ),
    discouraged=(
        TWICE_THE_RANK,
        Reason(
            when="the directions that matter most are to learn",
            why="a QR takes the first columns of each matrix, whatever they weigh; PiSSA takes the largest",
            source="peft/tuners/lora/layer.py, olora_init",
        ),
    ),
    torch_half="pegbox_methods.zoo.olora.half_torch:half",
    sharding="it begins with a QR decomposition of whole weights, which it changes for good before "
    "they could be sharded",
    cannot={"base": TAKEN_OUT, "4-bit": ROUNDED_ANEW},
)


@hookimpl
def pegbox_card() -> Card:
    """Bring OLoRA in, by the same door as any guest."""
    return CARD
