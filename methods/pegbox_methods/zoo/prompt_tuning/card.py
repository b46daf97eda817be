"""Prompt tuning's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.shared.low_rank import PEFT_TABLE
from pegbox_methods.zoo.shared.virtual_tokens import (
    CANNOT_MERGE,
    CANNOT_START,
    PROMPT_PAPER,
    ROWS_SOURCE,
    START,
    VIRTUAL_TOKENS,
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price prompt tuning: one embedding for each virtual token."""
    return Footprint(
        trainable_weights=settings["virtual_tokens"] * shape.hidden,
        step_time_ratio=None,
        step_time_source="not measured on a GPU; every row is longer by the virtual tokens",
    )


CARD = Card(
    name="prompt-tuning",
    title="Prompt tuning",
    summary="Trains the embeddings of virtual tokens that stand before every row; the base model stays as it is.",
    source=PROMPT_PAPER,
    settings=(VIRTUAL_TOKENS, START),
    learning_rate=1e-2,
    learning_rate_source=(
        "measured with SmolLM2-135M, 15 steps of 4 rows: held-out loss 2.08 to 1.38; 1.51 at 3e-3, 1.33 at 3e-2. The "
        "paper takes 0.3, with Adafactor"
    ),
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="one base model serves many small tasks at once",
            why="an adapter is a few kilobytes that are put before the input, so that rows of different tasks share a "
            "batch",
            source=f"{PROMPT_PAPER}, section 1",
        ),
        Reason(
            when="the task is a format that an example shows",
            why="it starts from a piece of the training rows, which alone tells the model much of it",
            source=ROWS_SOURCE,
        ),
    ),
    discouraged=(
        Reason(
            when="the model is small",
            why="on T5 it fell far behind full fine-tuning below some billion weights, and met it only at 11 billion",
            source=f"{PROMPT_PAPER}, figure 1",
        ),
        Reason(
            when="rows are short, or many are answered",
            why="every row gets longer, in use too, and it can't be merged: 200 tokens scored .391 in 2404 s, where "
            "LoRA scored .478 in 942 s",
            source=PEFT_TABLE,
        ),
    ),
    torch_half="pegbox_methods.zoo.prompt_tuning.half_torch:half",
    cannot={"start": CANNOT_START, "merge": CANNOT_MERGE},
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring prompt tuning in, by the same door as any guest."""
    return CARD
