"""LoKr's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.loha.card import PACKED, RANK_DROPOUT
from pegbox_methods.zoo.lokr.kronecker import kronecker_weights
from pegbox_methods.zoo.shared.low_rank import ALPHA, PEFT_TABLE, RANK, TARGETS

PAPER = "Yeh et al. 2023 (LyCORIS), arXiv:2309.14859"
STEP_TIME = 1292 / 942

DECOMPOSE_FACTOR = Setting(
    name="decompose_factor",
    kind="whole",
    default=4,
    minimum=-1,
    maximum=4096,
    help="Size of the left factor: this, or the largest divisor of the map's size below it. The larger, the fewer "
    "weights; -1 makes both factors alike in size.",
)
DECOMPOSE_BOTH = Setting(
    name="decompose_both",
    kind="switch",
    default=False,
    help="The left factor is of low rank too, where it is more than twice as wide as the rank.",
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price LoKr: two small factors for each map, multiplied out to a whole matrix in every forward pass."""
    return Footprint(
        trainable_weights=kronecker_weights(shape, settings),
        step_time_ratio=STEP_TIME,
        step_time_source=(
            f"{PEFT_TABLE}: 1292 s against 942 s (LoRA), both of rank 32 on queries and values. The update is "
            "multiplied out however few tokens there are: a CPU took 1.6 times as long with SmolLM2-135M."
        ),
    )


CARD = Card(
    name="lokr",
    title="LoKr",
    summary="A Kronecker product of a small matrix and one of low rank: an update of high rank from very few weights.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            RANK,
            default=32,
            help="Rank of the right factor, which is kept whole where half its size isn't more.",
        ),
        msgspec.structs.replace(ALPHA, default=64.0),
        DECOMPOSE_FACTOR,
        DECOMPOSE_BOTH,
        RANK_DROPOUT,
        TARGETS,
    ),
    learning_rate=3e-3,
    learning_rate_source=f"{PEFT_TABLE}: .466 at 3e-3, .360 at 1e-4 with a tenth of the weights",
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="the adapter shall be small and yet learn much",
            why="it scored .466 with 2.3 million weights, LoRA .478 with 9.2 million",
            source=PEFT_TABLE,
        ),
    ),
    discouraged=(
        Reason(
            when="time or memory is short",
            why="a step takes 1.4 times LoRA's, as each adapted map gets a second matrix of its own size",
            source=f"{PEFT_TABLE}; get_delta_weight in peft/tuners/lokr/layer.py",
        ),
    ),
    torch_half="pegbox_methods.zoo.lokr.half_torch:half",
    cannot={"4-bit": PACKED},
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring LoKr in, by the same door as any guest."""
    return CARD
