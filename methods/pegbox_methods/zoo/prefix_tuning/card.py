"""Prefix tuning's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.shared.low_rank import PEFT_TABLE
from pegbox_methods.zoo.shared.virtual_tokens import (
    CANNOT_MERGE,
    CANNOT_START,
    PREFIX_PAPER,
    ROWS_SOURCE,
    START,
    VIRTUAL_TOKENS,
)

STEP_TIME = 877 / 942


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price prefix tuning: a key and a value for each virtual token, head and layer."""
    return Footprint(
        trainable_weights=settings["virtual_tokens"] * shape.layers * 2 * shape.kv_heads * shape.head,
        step_time_ratio=STEP_TIME,
        step_time_source=f"{PEFT_TABLE}: 877 s (50 tokens) against 942 s (LoRA, rank 32)",
    )


CARD = Card(
    name="prefix-tuning",
    title="Prefix tuning",
    summary="Trains keys and values that stand before every row in each layer; the base model stays as it is.",
    source=PREFIX_PAPER,
    settings=(
        VIRTUAL_TOKENS,
        msgspec.structs.replace(
            START,
            help="Whose keys and values the prefix begins with: those of the end of some training rows, which reads "
            "like an example, or of tokens drawn from the vocabulary.",
        ),
    ),
    learning_rate=1e-2,
    learning_rate_source=(
        "measured with SmolLM2-135M, 15 steps of 4 rows: held-out loss 2.08 to 1.46 at 5e-3, to 1.32 at 2e-2; PEFT's "
        "own runs of 5000 steps take 5e-3"
    ),
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="a prompt is known to help, and shall be learned",
            why="it is a prompt that every layer sees and that gradients improve: 50 tokens, begun from a written one, "
            "scored .400; 200 begun at zero .358",
            source=PEFT_TABLE,
        ),
        Reason(
            when="the task is a format that an example shows",
            why="it starts from a piece of the training rows, which alone tells the model much of it",
            source=ROWS_SOURCE,
        ),
    ),
    discouraged=(
        Reason(
            when="answers must be as good as they can be",
            why="LoRA scored .478 in about the same time; a prefix can tell the model what to do, and hardly teaches "
            "it anything new",
            source=PEFT_TABLE,
        ),
    ),
    torch_half="pegbox_methods.zoo.prefix_tuning.half_torch:half",
    cannot={"start": CANNOT_START, "merge": CANNOT_MERGE},
    sharding="in 16 bits its prefixes stay in float32 beside the queries that FSDP2 casts, and it fails",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring prefix tuning in, by the same door as any guest."""
    return CARD
