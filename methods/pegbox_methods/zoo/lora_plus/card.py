"""LoRA+'s card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import ALPHA, DROPOUT, RANK, TARGETS, adapter_weights, wanted

PAPER = "Hayou, Ghosh and Yu 2024, arXiv:2402.12354"
AUTHORS = "README of nikhil-ghosh-berkeley/loraplus"

RATIO = Setting(
    name="ratio",
    kind="number",
    default=16.0,
    minimum=1,
    maximum=1000,
    unit="times the learning rate",
    help="How much faster the second matrix learns than the first; 1 is LoRA, a hard task takes more.",
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price LoRA+: LoRA's own weights and work."""
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], wanted(settings["targets"])),
        step_time_ratio=1.0,
        step_time_source="LoRA's own computation; 13.7 and 13.4 CPU-seconds per 1000 tokens, SmolLM2-135M in TRL 1.16",
    )


CARD = Card(
    name="lora-plus",
    title="LoRA+",
    summary="LoRA whose second matrix, the one that begins at zero, learns many times faster than the first.",
    source=PAPER,
    settings=(RANK, ALPHA, DROPOUT, TARGETS, RATIO),
    learning_rate=1e-4,
    learning_rate_source=f"the first matrix's: half of LoRA's, as the {AUTHORS} asks",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="LoRA learns too slowly, or the model is wide",
            why="with equal rates the first matrix does too little in wide models; apart, they gave 1 to 2 % more "
            "and learned up to twice as fast, at no cost",
            source=f"{PAPER}, abstract",
        ),
    ),
    discouraged=(
        Reason(
            when="there is time for one run only",
            why="the best ratio depends on model and task, and has to be tried together with the learning rate",
            source=AUTHORS,
        ),
    ),
    torch_half="pegbox_methods.zoo.lora_plus.half_torch:half",
    sharding="it brings its own optimizer, made before the weights are sharded, which the trainer refuses",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring LoRA+ in, by the same door as any guest."""
    return CARD
