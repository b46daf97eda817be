"""LoRA-FA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.shared.low_rank import ALPHA, DROPOUT, RANK, TARGETS, wanted

PAPER = "Zhang et al. 2023, arXiv:2308.03303"
PEFT_RUN = (
    "PEFT's method_comparison, MetaMathQA, run of June 2025 (Llama-3.2-3B on an L40S, rank 32 on q and v, one seed)"
)
STEP_TIME = 778.1 / 619.3


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price LoRA-FA: B alone is trained, (d_out, rank) for each adapted map."""
    rank = settings["rank"]
    return Footprint(
        trainable_weights=sum(
            layers * rank * d_out for layers, _, d_out, _ in shape.adapted(wanted(settings["targets"]))
        ),
        step_time_ratio=STEP_TIME,
        step_time_source=f"{PEFT_RUN}: 778 s against 619 s of steps. Its optimizer inverts a matrix for each adapted "
        "map, so that more maps and higher ranks lose more.",
    )


CARD = Card(
    name="lora-fa",
    title="LoRA-FA",
    summary="LoRA whose first matrix stays as it was drawn: its inputs needn't be kept for the way back.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            RANK,
            default=32,
            help="Width of the two thin matrices. As only one learns, PEFT advises more than for LoRA: 64 to 128.",
        ),
        msgspec.structs.replace(ALPHA, default=64.0),
        msgspec.structs.replace(
            DROPOUT,
            default=0.0,
            help="Part of the adapter's inputs set to zero while training; above 0 it keeps a mask, and saves less.",
        ),
        TARGETS,
    ),
    learning_rate=1e-4,
    learning_rate_source=f"{PEFT_RUN}: 1e-4 with rank 32 and alpha 64",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="activations fill the memory, and time is there",
            why="it peaked at 20.2 GB against 22.3 GB for LoRA of the same rank, and its optimizer keeps half as much",
            source=f"{PEFT_RUN}; {PAPER}",
        ),
    ),
    discouraged=(
        Reason(
            when="quality or time matters more than two gigabytes",
            why="it scored .430 against .482 for LoRA of the same rank, in a quarter more time",
            source=PEFT_RUN,
        ),
        Reason(
            when="the rank is high and many maps are adapted",
            why="every step inverts a rank x rank matrix for each of them",
            source="peft/optimizers/lorafa.py",
        ),
    ),
    torch_half="pegbox_methods.zoo.lora_fa.half_torch:half",
    sharding="it brings its own optimizer, made before the weights are sharded, which the trainer refuses",
    cannot={"optimizer": "its AdamW corrects the gradient for the matrix that stands still, which no other one does"},
)


@hookimpl
def pegbox_card() -> Card:
    """Bring LoRA-FA in, by the same door as any guest."""
    return CARD
