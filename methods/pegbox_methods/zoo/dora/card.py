"""DoRA's card."""

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

PAPER = "Liu et al. 2024, arXiv:2402.09353"
STEP_TIME = 1191 / 942


def magnitudes(shape: ModelShape, targets: tuple[str, ...]) -> int:
    """Count the lengths that DoRA trains: one for each row of an adapted matrix W (d_out, d_in).

    Raises: KeyError: the model has no matrix of that name.
    Source: Liu et al. 2024, section 4.1; PEFT takes the norm along d_in.
    """
    return sum(layers * d_out for layers, _, d_out, _ in shape.adapted(targets))


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price DoRA: LoRA's weights, a length for each row, and the norms of all adapted weights in every forward pass."""
    targets = wanted(settings["targets"])
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], targets) + magnitudes(shape, targets),
        step_time_ratio=STEP_TIME,
        cpu_step_time_ratio=1.23,
        step_time_source=(
            f"{PEFT_TABLE}: 1191 s against 942 s for rank 32. The norms cost the same however few tokens there are: "
            "small micro-batches lose more (2.4 times in a forward pass, peft#2651), and a CPU took 1.2 times as long."
        ),
    )


CARD = Card(
    name="dora",
    title="DoRA",
    summary="LoRA for the direction of each weight row, and a trained number for its length.",
    source=PAPER,
    settings=(
        RANK,
        ALPHA,
        msgspec.structs.replace(
            DROPOUT,
            default=0.0,
            help="Part of the adapter's inputs set to zero while training. Above 0 each adapted map is computed twice.",
        ),
        TARGETS,
    ),
    learning_rate=1.5e-4,
    learning_rate_source="a little below LoRA's, as the README of NVlabs/DoRA asks",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="quality at a low rank matters more than time",
            why="it comes closer to full fine-tuning than LoRA of the same rank, most of all at ranks 4 and 8",
            source=f"{PAPER}, section 5.5",
        ),
    ),
    discouraged=(
        Reason(
            when="time matters, or the micro-batch is small",
            why="a step takes 1.3 times LoRA's, and up to 2.4 times where there are few tokens in it",
            source=f"{PEFT_TABLE}; peft#2651",
        ),
        Reason(
            when="the rank is 32 or more",
            why="at rank 32 it scored .469 against .478 for LoRA, within chance, for 2 GB and a quarter more time",
            source=PEFT_TABLE,
        ),
        Reason(
            when="vLLM shall serve the adapter as it is",
            why="it can't load DoRA's lengths; merge the adapter first",
            source="vllm#10849",
        ),
    ),
    torch_half="pegbox_methods.zoo.dora.half_torch:half",
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring DoRA in, by the same door as any guest."""
    return CARD
