"""HRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.shared.low_rank import RANK, TARGETS, wanted

PAPER = "Yuan et al. 2024, arXiv:2405.17484"


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price HRA: each mirror is one vector as long as the map's inputs."""
    adapted = shape.adapted(wanted(settings["targets"]))
    return Footprint(
        trainable_weights=sum(layers * d_in * settings["rank"] for layers, _, _, d_in in adapted),
        step_time_ratio=None,
        step_time_source="not measured on a GPU",
    )


CARD = Card(
    name="hra",
    title="HRA",
    summary="Reflects the inputs of each linear map in a chain of trained mirrors, which keeps their lengths.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            RANK,
            default=8,
            minimum=2,
            help="Number of mirrors, which is even: they begin in pairs that undo each other.",
        ),
        TARGETS,
    ),
    learning_rate=1e-3,
    learning_rate_source="measured with SmolLM2-135M: ten steps of two rows took the loss from 1.74 to 1.65; LoRA, at "
    "2e-4, to 1.71",
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="as little as possible of what the model knows should change",
            why="a mirrored matrix keeps the lengths of its rows and the angles between them, however long it trains",
            source=PAPER,
        ),
    ),
    discouraged=(
        Reason(
            when="the adapter is to be used by PEFT unmerged, or trained on there",
            why="PEFT's forward pass holds a square of a map's inputs for each mirror: 5.2 GB with SmolLM2-135M and 8 "
            "mirrors, where Pegbox computes the same in another form and holds 0.03 GB; merge it first",
            source="measured, 16 tokens in float32; peft#3185",
        ),
        Reason(
            when="the base model is GPT-2 or keeps its maps as Conv1D",
            why="PEFT's HRA is made for torch's Linear alone",
            source="PEFT's HRAModel",
        ),
    ),
    torch_half="pegbox_methods.zoo.hra.half_torch:half",
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring HRA in, by the same door as any guest."""
    return CARD
