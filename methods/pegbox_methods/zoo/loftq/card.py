"""LoftQ's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.qlora.card import PREPARATION, SLOWER
from pegbox_methods.zoo.shared.low_rank import ALPHA, DROPOUT, RANK, TARGETS, adapter_weights, wanted

PAPER = "Li et al. 2023, arXiv:2310.08659"


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price LoftQ: QLoRA's own weights and work, after a decomposition at the beginning."""
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], wanted(settings["targets"])),
        step_time_ratio=None,
        step_time_source=f"QLoRA's own computation: {SLOWER}",
    )


CARD = Card(
    name="loftq",
    title="LoftQ",
    summary="QLoRA that begins with what packing took away from the weights, as far as its rank holds it.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            RANK,
            default=64,
            help="Width of the two thin matrices. The more, the more of the rounding error is made good.",
        ),
        msgspec.structs.replace(ALPHA, default=64.0),
        msgspec.structs.replace(
            DROPOUT,
            default=0.0,
            help="Part of the adapter's inputs set to zero while training, and some of the correction with them.",
        ),
        TARGETS,
        PREPARATION,
    ),
    learning_rate=1e-4,
    learning_rate_source="PEFT's examples/loftq_finetuning: 1e-4 with rank 64 on GSM8K",
    needs=Needs(quantized_base=True, linear_layers_only=False, compute_capability=(6, 0)),
    footprint=footprint,
    recommended=(
        Reason(
            when="the base model must be packed, and packing harms it",
            why="it begins nearer to the full-precision model than QLoRA does",
            source=f"{PAPER}, section 3",
        ),
    ),
    discouraged=(
        Reason(
            when="a server shall load the adapter beside the full-precision base",
            why="the adapter makes good what packing took away, and there nothing was taken; merge it with Pegbox, "
            "which rounds the base as it was in training",
            source="peft/utils/loftq_utils.py; pegbox_methods.zoo.loftq.half_torch",
        ),
        Reason(
            when="packing into 4 bits does the model no harm",
            why="the gain is largest with 2 bits, and only one round of the paper's alternation is taken here, since "
            "further ones change the packed base",
            source=f"{PAPER}, abstract and algorithm 1",
        ),
    ),
    torch_half="pegbox_methods.zoo.loftq.half_torch:half",
    sharding="it begins with a singular value decomposition of the rounding error of whole weights",
    cannot={"start": "it begins between the packed model's output and the full-precision model's"},
)


@hookimpl
def pegbox_card() -> Card:
    """Bring LoftQ in, by the same door as any guest."""
    return CARD
