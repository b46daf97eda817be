"""LoHa's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import ALPHA, PEFT_TABLE, RANK, TARGETS, adapter_weights, wanted

PAPER = "Hyeon-Woo et al. 2021 (FedPara), arXiv:2108.06098; Yeh et al. 2023 (LyCORIS), arXiv:2309.14859"
TABLE_OF_2025 = f"{PEFT_TABLE}, run in June 2025"
STEP_TIME = 2341 / 1796
PACKED = "PEFT sizes its matrices by the packed weights, whose shape isn't the map's"

RANK_DROPOUT = Setting(
    name="rank_dropout",
    kind="number",
    default=0.0,
    minimum=0,
    maximum=0.9,
    unit="share",
    help="Part of the rows of the update, drawn anew for each batch, that are left out while training.",
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price LoHa: two of LoRA's pairs for each map, multiplied out to a whole matrix in every forward pass."""
    return Footprint(
        trainable_weights=2 * adapter_weights(shape, settings["rank"], wanted(settings["targets"])),
        step_time_ratio=STEP_TIME,
        step_time_source=(
            f"{TABLE_OF_2025}: 2341 s against 1796 s (LoRA), both of rank 32 on queries and values. The update is "
            "multiplied out however few tokens there are: a CPU took 1.8 times as long with SmolLM2-135M."
        ),
    )


CARD = Card(
    name="loha",
    title="LoHa",
    summary="Multiplies two low-rank matrices element by element, so that few weights give an update of high rank.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            RANK, default=8, help="Rank of each of the two factors; that of their product goes up to its square."
        ),
        msgspec.structs.replace(ALPHA, default=16.0),
        RANK_DROPOUT,
        TARGETS,
    ),
    learning_rate=2e-3,
    learning_rate_source=(
        "measured with SmolLM2-135M: 12 steps took its loss from 3.96 to 2.86 at 3e-3, to 3.65 at 1e-3; LoRA to "
        "3.05 at its own 2e-4"
    ),
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="the update shall be of high rank and the adapter small",
            why="two factors of rank r give a product of rank up to r squared, for twice LoRA's weights",
            source="Hyeon-Woo et al. 2021, proposition 1, arXiv:2108.06098",
        ),
    ),
    discouraged=(
        Reason(
            when="nothing is known to speak for it: compare it, don't start with it",
            why="at rank 32 it scored .418 against .482 for LoRA, with twice the weights and a third more time",
            source=TABLE_OF_2025,
        ),
        Reason(
            when="memory is short",
            why="each adapted map gets a second matrix of its own size in every forward pass",
            source="get_delta_weight in peft/tuners/loha/layer.py",
        ),
    ),
    torch_half="pegbox_methods.zoo.loha.half_torch:half",
    cannot={"4-bit": PACKED},
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring LoHa in, by the same door as any guest."""
    return CARD
