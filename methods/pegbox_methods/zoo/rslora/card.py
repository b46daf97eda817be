"""rsLoRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.shared.low_rank import (
    ALPHA,
    DROPOUT,
    PEFT_TABLE,
    RANK,
    TARGETS,
    adapter_weights,
    wanted,
)

PAPER = "Kalajdzievski 2023, arXiv:2312.03732"


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price rsLoRA: LoRA's own weights and work, scaled by another constant."""
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], wanted(settings["targets"])),
        step_time_ratio=1.0,
        cpu_step_time_ratio=1.09,
        step_time_source="LoRA's own computation; 13.3 and 13.4 CPU-seconds per 1000 tokens, SmolLM2-135M in TRL 1.16",
    )


CARD = Card(
    name="rslora",
    title="rsLoRA",
    summary="LoRA divided by the square root of the rank, so that high ranks learn as fast as low ones.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            RANK,
            default=64,
            help="Width of the two thin matrices. Made for 32 and more; at 16 and below plain LoRA does as well.",
        ),
        msgspec.structs.replace(
            ALPHA, default=64.0, help="The update is scaled by alpha / the square root of rank: by 8 at 64 and 64."
        ),
        DROPOUT,
        TARGETS,
    ),
    learning_rate=1e-4,
    learning_rate_source=f"{PEFT_TABLE}: 1e-4 with rank 64 and alpha 64",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="the task is broad and a rank above 32 fits",
            why="with LoRA's alpha / rank a higher rank learns ever more slowly; here it learns more, at no extra time",
            source=PAPER,
        ),
        Reason(
            when="the best quality is wanted for little more time than LoRA's",
            why="rank 64 scored .513 against .478 for LoRA of rank 32, in 966 s against 942 s",
            source=PEFT_TABLE,
        ),
    ),
    discouraged=(
        Reason(
            when="a small adapter is the goal, or there are under 500 rows",
            why="a rank of 64 has four times LoRA's weights at 16, and few rows don't fill them",
            source="arithmetic; rule of thumb: ranks 4 to 8 under 500 rows",
        ),
        Reason(
            when="vLLM shall serve the adapter as it is",
            why="its max_lora_rank is 16 unless it is raised when the server starts",
            source="vLLM's option --max-lora-rank",
        ),
    ),
    torch_half="pegbox_methods.zoo.rslora.half_torch:half",
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring rsLoRA in, by the same door as any guest."""
    return CARD
