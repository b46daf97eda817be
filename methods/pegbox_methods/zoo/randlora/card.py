"""RandLoRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import ALPHA, DROPOUT, PEFT_TABLE, RANK, TARGETS, wanted

PAPER = "Albert et al. 2025, arXiv:2502.00987"

BASES = Setting(
    name="bases",
    kind="choice",
    default="dense",
    choices=("dense", "sparse", "very-sparse"),
    help="What the random bases hold: any numbers, or -1, 0 and 1 alone, most of them 0. Sparse ones may overfit less.",
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price RandLoRA: its bases are frozen, their scales are trained.

    A map with d as the smaller of its two sizes has as many bases as it takes to reach d ranks. Each has a scale for
    each of its ranks, and one for each of d numbers.
    Source: section 4 of the paper; PEFT's RandLoraLayer.
    """
    rank = settings["rank"]
    weights = 0
    for layers, _, d_out, d_in in shape.adapted(wanted(settings["targets"])):
        smaller = min(d_out, d_in)
        weights += layers * -(-smaller // rank) * (rank + smaller)
    return Footprint(
        trainable_weights=weights,
        step_time_ratio=1456 / 942,
        step_time_source=f"{PEFT_TABLE}: 1456 s against 942 s (LoRA, rank 32), on q_proj and v_proj",
    )


CARD = Card(
    name="randlora",
    title="RandLoRA",
    summary="Adds up random bases until the update has full rank, and trains only how each is scaled.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            RANK,
            default=32,
            help="Ranks of one random basis. Fewer of them make more bases, and more weights to train.",
        ),
        msgspec.structs.replace(
            ALPHA,
            default=640.0,
            help="The update is scaled by alpha / rank. Twenty times the rank is usual; take less if it diverges.",
        ),
        msgspec.structs.replace(DROPOUT, default=0.0),
        BASES,
        TARGETS,
    ),
    learning_rate=1e-4,
    learning_rate_source=f"{PEFT_TABLE}, which reaches 0.52 with it at alpha 640",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="LoRA at a high rank still learns too little",
            why="its update has full rank: accuracy 0.52 where LoRA of rank 32 reached 0.48, with as many weights",
            source=PEFT_TABLE,
        ),
    ),
    discouraged=(
        Reason(
            when="memory is short and activation checkpointing is off",
            why="in every step each map makes a float32 square of its smaller side and holds it for the backward "
            "pass, 64 MiB for a width of 4096; a step takes half as long again as LoRA's",
            source=f"PEFT's RandLoraLayer; {PEFT_TABLE}",
        ),
        Reason(
            when="the adapter must be small",
            why="its file holds the bases too, once, in 16 bits: as many numbers as the largest d_out times the "
            "largest d_in of the adapted maps",
            source="PEFT's RandLoraModel",
        ),
    ),
    torch_half="pegbox_methods.zoo.randlora.half_torch:half",
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring RandLoRA in, by the same door as any guest."""
    return CARD
