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
    learning_rate_source="x",
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="as little as possible of what the model knows should change",
            why="an orthogonal map of the inputs keeps the angles between them",
            source=PAPER,
        ),
    ),
    discouraged=(),
    torch_half="pegbox_methods.zoo.hra.half_torch:half",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring HRA in, by the same door as any guest."""
    return CARD
