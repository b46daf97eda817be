"""GraLoRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import ALPHA, DROPOUT, PEFT_TABLE, RANK, TARGETS, adapter_weights, wanted

PAPER = "Jung et al. 2025, arXiv:2505.20355"

SUBBLOCKS = Setting(
    name="subblocks",
    kind="whole",
    default=2,
    minimum=1,
    maximum=64,
    help="Each matrix is cut into this many blocks along both sides; 2 up to rank 32, 4 from 64. It must divide the "
    "rank and the sizes of every map.",
)
HYBRID_RANK = Setting(
    name="hybrid_rank",
    kind="whole",
    default=0,
    minimum=0,
    maximum=4096,
    help="Rank of a plain LoRA beside the blocks; a help at ranks of 16 and less.",
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price GraLoRA: as many weights as LoRA of both ranks together, whatever the number of blocks."""
    rank = settings["rank"] + settings["hybrid_rank"]
    return Footprint(
        trainable_weights=adapter_weights(shape, rank, wanted(settings["targets"])),
        step_time_ratio=1097 / 942,
        step_time_source=f"{PEFT_TABLE}: 1097 s against 942 s (LoRA), both of rank 32, on q_proj and v_proj",
    )


CARD = Card(
    name="gralora",
    title="GraLoRA",
    summary="Cuts each matrix into blocks and gives every block a thin pair of its own, for as many weights as LoRA.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(RANK, default=32),
        SUBBLOCKS,
        HYBRID_RANK,
        msgspec.structs.replace(
            ALPHA, default=64.0, help="The update is scaled by alpha / (rank + hybrid rank). Twice the rank is usual."
        ),
        msgspec.structs.replace(DROPOUT, default=0.0),
        TARGETS,
    ),
    learning_rate=2e-4,
    learning_rate_source=f"{PEFT_TABLE}; the authors' own scripts take the same",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="rank 32 or more is wanted",
            why="a few odd inputs spoil only their own blocks, and the update's rank grows with the number of blocks",
            source=PAPER,
        ),
    ),
    discouraged=(
        Reason(
            when="rank 32 and less, and time matters",
            why="accuracy 0.50 where LoRA of the same rank reached 0.48, which one seed can't tell apart, for a sixth "
            "more time",
            source=PEFT_TABLE,
        ),
    ),
    torch_half="pegbox_methods.zoo.gralora.half_torch:half",
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring GraLoRA in, by the same door as any guest."""
    return CARD
