"""VB-LoRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import DROPOUT, PEFT_TABLE, RANK, TARGETS, wanted
from pegbox_methods.zoo.vblora.bank import vector_length

PAPER = "Li et al. 2024, arXiv:2405.15179"

NUM_VECTORS = Setting(
    name="num_vectors",
    kind="whole",
    default=256,
    minimum=2,
    maximum=65536,
    unit="vectors",
    help="Size of the bank. Larger models want more.",
)
VECTOR_LENGTH = Setting(
    name="vector_length",
    kind="whole",
    default=0,
    minimum=0,
    maximum=65536,
    unit="numbers",
    help="It must divide both sizes of every adapted map. 0: the largest power of two up to 256 that does.",
)
TOPK = Setting(
    name="topk",
    kind="whole",
    default=2,
    minimum=2,  # a single one has the share 1 whatever its logit, which then gets no gradient
    maximum=64,
    unit="vectors",
    help="Vectors that are mixed into one piece of a matrix; the paper found 2 to do best.",
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price VB-LoRA: one bank, and for each piece of a thin matrix one number for each vector in it."""
    maps = tuple(shape.adapted(wanted(settings["targets"])))
    length = vector_length(settings["vector_length"], (width for *_, d_out, d_in in maps for width in (d_out, d_in)))
    pieces = sum(layers * settings["rank"] * (d_out // length + d_in // length) for layers, _, d_out, d_in in maps)
    return Footprint(
        trainable_weights=settings["num_vectors"] * (length + pieces),
        step_time_ratio=1192 / 942,
        step_time_source=f"{PEFT_TABLE}: 1192 s (1024 vectors) against 942 s (LoRA, rank 32), on q_proj and v_proj",
    )


CARD = Card(
    name="vblora",
    title="VB-LoRA",
    summary="Mixes every thin matrix of LoRA from one bank of short vectors that all layers share.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(RANK, default=4, help="Width of the two thin matrices."),
        NUM_VECTORS,
        VECTOR_LENGTH,
        TOPK,
        msgspec.structs.replace(DROPOUT, default=0.0),
        TARGETS,
    ),
    learning_rate=5e-3,
    learning_rate_source=f"{PAPER}, takes 1e-3 for the bank and 1e-2 for the mixing; one rate does for both, as in "
    "PEFT's method_comparison: 30 steps of two rows took SmolLM2-135M from 1.74 to 1.68 at 4e-3, to 1.62 at 1e-2",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="the adapter is to be cut down for storage after the training",
            why="of each piece only its chosen vectors count, and PEFT can save those alone: for Llama 2 13B 0.4 % of "
            "LoRA's numbers. Pegbox saves all, so that the adapter can be trained on",
            source=PAPER,
        ),
    ),
    discouraged=(
        Reason(
            when="quality matters more than the adapter's size",
            why="accuracy 0.37 with 256 vectors and 0.40 with 1024, where LoRA reached 0.48",
            source=PEFT_TABLE,
        ),
        Reason(
            when="the widths of the model have only a small power of two in common",
            why="pieces are short and many: with SmolLM2-135M, whose vectors have 64 numbers, it trains as many "
            "weights as LoRA of rank 16",
            source="PEFT's VBLoRALayer",
        ),
    ),
    torch_half="pegbox_methods.zoo.vblora.half_torch:half",
    cannot={"start": "its bank begins with small random vectors, as zeros would get no gradient"},
    sharding="all its layers share one bank of vectors, and FSDP2 gives a weight to one layer alone",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring VB-LoRA in, by the same door as any guest."""
    return CARD
