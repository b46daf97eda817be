"""FourierFT's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import PEFT_TABLE, TARGETS, wanted

PAPER = "Gao et al. 2024, arXiv:2405.03003"

FREQUENCIES = Setting(
    name="frequencies",
    kind="whole",
    default=1000,
    minimum=1,
    maximum=10_000_000,
    help="Waves that are added to each matrix; one trained weight each.",
)
SCALING = Setting(
    name="scaling",
    kind="number",
    default=0.0,
    minimum=0,
    maximum=100_000,
    help="Strength of the waves. 0: the paper's 300 for LLaMA 7B, brought to the size of this model's matrices.",
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price FourierFT: each adapted matrix has as many waves as the others."""
    adapted = shape.adapted(wanted(settings["targets"]))
    return Footprint(
        trainable_weights=sum(layers * settings["frequencies"] for layers, *_ in adapted),
        step_time_ratio=1065 / 620,
        step_time_source="x",
    )


CARD = Card(
    name="fourierft",
    title="FourierFT",
    summary="Adds a few waves of random frequencies to each matrix, and trains only their heights.",
    source=PAPER,
    settings=(FREQUENCIES, SCALING, TARGETS),
    learning_rate=5e-2,
    learning_rate_source="x",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(),
    discouraged=(),
    torch_half="pegbox_methods.zoo.fourierft.half_torch:half",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring FourierFT in, by the same door as any guest."""
    return CARD
