"""Full fine-tuning's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.shared.low_rank import PEFT_TABLE

STEP_TIME = 2147 / 942


def footprint(shape: ModelShape, _settings: Mapping[str, Any]) -> Footprint:
    """Price full fine-tuning: every weight of the model is trained, and none is added."""
    return Footprint(
        trainable_weights=shape.weights,
        step_time_ratio=STEP_TIME,
        cpu_step_time_ratio=1.12,
        step_time_source=f"{PEFT_TABLE}: 2147 s against 942 s (LoRA, rank 32)",
    )


CARD = Card(
    name="full",
    title="Full fine-tuning",
    summary="Trains every weight of the model. The yardstick that the other methods are held against.",
    source="the practice before adapters; compared with them in Hu et al. 2021, arXiv:2106.09685",
    settings=(),
    learning_rate=2e-5,
    learning_rate_source="measured with SmolLM2-135M, 20 steps of 2 rows: held-out loss 2.89 to 2.42; LoRA's 2.42",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="there are many rows and a device with 16 bytes for each weight to spare",
            why="nothing limits what it can learn, a new language or field of knowledge among it",
            source="AdamW keeps a weight, its gradient and two averages in float32",
        ),
        Reason(
            when="the others must prove themselves",
            why="a method that comes near it loses nothing by being smaller",
            source=PEFT_TABLE,
        ),
    ),
    discouraged=(
        Reason(
            when="memory, time or disk is short",
            why="it took 38.9 GB and 2147 s where LoRA took 22.3 GB and 942 s, for .472 against .478; what it saves is "
            "a whole model",
            source=PEFT_TABLE,
        ),
        Reason(
            when="there are few rows",
            why="it forgets more of what the model could do before: LoRA learns less and forgets less",
            source="Biderman et al. 2024, arXiv:2405.09673",
        ),
    ),
    torch_half="pegbox_methods.zoo.full.half_torch:half",
    cannot={
        "base": "the base model's own weights are what it trains",
        "4-bit": "weights packed into 4 bits take no steps",
    },
    sharding="each process would bring all weights and the optimizer's averages together in its RAM for a checkpoint",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring full fine-tuning in, by the same door as any guest."""
    return CARD
