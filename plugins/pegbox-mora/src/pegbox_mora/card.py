"""MoRA's card: what Pegbox may know of it without loading torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

import msgspec
from pegbox_methods import Card, Footprint, Needs, Reason, Setting, hookimpl
from pegbox_methods.zoo.shared.low_rank import RANK, TARGETS, wanted

PAPER = "Jiang et al. 2024, arXiv:2405.12130"
AUTHORS_CODE = "github.com/kongds/MoRA, README"

COMPRESSION = Setting(
    name="compression",
    kind="choice",
    default="rotation",
    choices=("rotation", "sharing"),
    help="How a wide input meets the narrow matrix: its segments turned, each by its own angles, or added up.",
)


def side(d_out: int, d_in: int, rank: int) -> int:
    """Give the side of the square that has no more weights than LoRA of that rank.

    It is even, as a rotation turns pairs, and no longer than the map's shorter side, where it has full rank.
    Source: Jiang et al. 2024, section 4, arXiv:2405.12130: floor(sqrt((d + k) r)).
    """
    return max(2, min(isqrt((d_out + d_in) * rank), d_out, d_in) // 2 * 2)


def footprint(shape: Any, settings: Mapping[str, Any]) -> Footprint:
    """Count the squares."""
    maps = shape.adapted(wanted(settings["targets"]))
    return Footprint(
        trainable_weights=sum(layers * side(d_out, d_in, settings["rank"]) ** 2 for layers, _, d_out, d_in in maps),
        step_time_ratio=None,
        step_time_source="nobody has published one",
    )


CARD = Card(
    name="mora",
    title="MoRA",
    summary="One square matrix beside each linear map: LoRA's number of weights, at a far higher rank.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            RANK, default=8, help="Rank of the LoRA that would have as many weights; the square is what they allow."
        ),
        COMPRESSION,
        TARGETS,
    ),
    learning_rate=3e-4,
    learning_rate_source=f"{AUTHORS_CODE}: Llama 2 on MetaMath, rank 8, rotation",
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="facts are to be remembered, as in continued pretraining",
            why="it learned what LoRA of as many weights couldn't hold, which the authors put down to the rank",
            source=f"{PAPER}, section 5",
        ),
    ),
    discouraged=(
        Reason(
            when="a server shall load the adapter beside the base model",
            why="no server knows it: merge it first",
            source="the adapter's own format",
        ),
        Reason(
            when="the task is one of format, tone or reasoning",
            why="it came out level with LoRA there",
            source=f"{PAPER}, section 5",
        ),
    ),
    torch_half="pegbox_mora.half_torch:half",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring MoRA in."""
    return CARD
