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
    help="Waves that are added to each matrix, with one trained weight each. More of them learn more.",
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
        step_time_source=f"{PEFT_TABLE}, runs of June 2025: 1065 s in steps against 620 s (LoRA, rank 32), on q_proj "
        "and v_proj",
    )


CARD = Card(
    name="fourierft",
    title="FourierFT",
    summary="Adds a few waves of random frequencies to each matrix, and trains only their heights.",
    source=PAPER,
    settings=(FREQUENCIES, SCALING, TARGETS),
    learning_rate=5e-2,
    learning_rate_source="the authors' scripts for Llama 2 (github.com/Chaos96/fourierft), at the scaling of 300 that "
    "the default goes by; with SmolLM2-135M, ten steps of two rows took the loss from 1.74 to 1.64",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="many adapters are to be kept or sent",
            why="a thousand numbers for each matrix: 0.06 million for Llama 2 7B, where LoRA took 33.5 million",
            source=PAPER,
        ),
    ),
    discouraged=(
        Reason(
            when="much is to be learned",
            why="accuracy 0.12 with 5000 waves and 0 with 1000, where LoRA reached 0.48; at a rate of 1e-4, though, "
            "far below its authors'",
            source=PEFT_TABLE,
        ),
        Reason(
            when="memory is short and activation checkpointing is off",
            why="each map makes its whole update anew in every pass and holds it for the backward pass: together a "
            "float32 copy of all adapted matrices, 0.45 GB with SmolLM2-135M",
            source="PEFT's FourierFTLayer",
        ),
    ),
    torch_half="pegbox_methods.zoo.fourierft.half_torch:half",
    sharding="in 16 bits FSDP2 casts its few numbers, and its weights end four times as far from those of float32",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring FourierFT in, by the same door as any guest."""
    return CARD
