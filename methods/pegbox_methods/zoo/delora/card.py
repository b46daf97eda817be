"""DeLoRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import DROPOUT, PEFT_TABLE, RANK, TARGETS, adapter_weights, wanted

PAPER = "Bini et al. 2025, arXiv:2503.18225"

BOUNDARY = Setting(
    name="boundary",
    kind="number",
    default=0.0,
    minimum=0,
    maximum=1000,
    help="Strength of the update at the start. 0: as much as makes it a hundredth as long as its matrix, for any size "
    "and rank. PEFT's own default, 15, is for models of 3 billion weights and more.",
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price DeLoRA: LoRA's weights, and one strength for each map."""
    targets = wanted(settings["targets"])
    strengths = sum(layers for layers, *_ in shape.adapted(targets))
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], targets) + strengths,
        step_time_ratio=1079 / 942,
        step_time_source=f"{PEFT_TABLE}: 1079 s against 942 s (LoRA), both of rank 32, on q_proj and v_proj",
    )


CARD = Card(
    name="delora",
    title="DeLoRA",
    summary="LoRA with its directions held at length one and a strength beside them, so that the update has a bound.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(RANK, default=32),
        BOUNDARY,
        msgspec.structs.replace(DROPOUT, default=0.0),
        TARGETS,
    ),
    learning_rate=1e-3,
    learning_rate_source=f"{PEFT_TABLE}; rates from 1e-4 to 1e-2 all train the bundled model",
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="nothing is known of the right learning rate",
            why="the rate turns the directions, and the strength has a bound of its own: a rate ten times too high "
            "does little harm",
            source=PAPER,
        ),
    ),
    discouraged=(
        Reason(
            when="PEFT's boundary of 15 is given for a small model",
            why="the first step goes all the way to the bound, whatever the rate: SmolLM2-135M went from a loss of "
            "1.76 to 15 in six steps",
            source="measured, rank 32, 1e-3, all linear maps",
        ),
        Reason(
            when="rank 32 and a good learning rate for LoRA are known",
            why="accuracy 0.50 where LoRA reached 0.48, which one seed can't tell apart, for a seventh more time",
            source=PEFT_TABLE,
        ),
    ),
    torch_half="pegbox_methods.zoo.delora.half_torch:half",
    cannot={
        "4-bit": "PEFT measures the lengths of the base model's columns, which packed weights don't show",
    },
    sharding="in 16 bits the norms that it keeps stay in float32 beside weights that FSDP2 casts, and it fails",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring DeLoRA in, by the same door as any guest."""
    return CARD
