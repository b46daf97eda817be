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
    help="x",
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
    learning_rate_source=PEFT_TABLE,
    needs=Needs(),
    footprint=footprint,
    recommended=(),
    discouraged=(),
    torch_half="pegbox_methods.zoo.delora.half_torch:half",
    cannot={
        "4-bit": "PEFT measures the lengths of the base model's columns, which packed weights don't show",
    },
)


@hookimpl
def pegbox_card() -> Card:
    """Bring DeLoRA in, by the same door as any guest."""
    return CARD
