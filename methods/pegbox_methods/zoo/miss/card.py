"""MiSS's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.shared.low_rank import DROPOUT, PEFT_TABLE, RANK, TARGETS, wanted

PAPER = "Kang & Yin 2024 (first called Bone), arXiv:2409.15371"
STEP_TIME = 897 / 942


def shared_weights(shape: ModelShape, rank: int, targets: tuple[str, ...]) -> int:
    """Count the weights MiSS adds: one matrix (rank, d_out) for each map, which all blocks of its inputs share.

    Raises: KeyError: the model has no matrix of that name.
    Source: update_layer() in peft/tuners/miss/layer.py.
    """
    return sum(layers * rank * d_out for layers, _, d_out, _ in shape.adapted(targets))


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price MiSS: one of LoRA's two matrices, and sums in place of the other."""
    return Footprint(
        trainable_weights=shared_weights(shape, settings["rank"], wanted(settings["targets"])),
        step_time_ratio=STEP_TIME,
        cpu_step_time_ratio=0.88,
        step_time_source=f"{PEFT_TABLE}: 897 s (rank 64) against 942 s (LoRA, rank 32), both on queries and values",
    )


CARD = Card(
    name="miss",
    title="MiSS",
    summary="Sums up each map's inputs block by block, and trains one thin matrix on the sums.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            RANK, default=64, help="Inputs in a block; the one matrix of a map has a row for each of them."
        ),
        msgspec.structs.replace(DROPOUT, default=0.0, help="Part of the adapter's inputs set to zero while training."),
        TARGETS,
    ),
    learning_rate=1e-4,
    learning_rate_source=PEFT_TABLE,
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="time and memory are short",
            why="the fastest and leanest of the adapters compared: .487 in 897 s and 20.3 GB, LoRA .478 in 942 s and "
            "22.3 GB",
            source=PEFT_TABLE,
        ),
    ),
    discouraged=(
        Reason(
            when="a server shall load the adapter as it is",
            why="servers such as vLLM load LoRA's matrices; merge the adapter, or let PEFT convert it",
            source="supports_lora_conversion() in peft/tuners/miss/layer.py",
        ),
    ),
    torch_half="pegbox_methods.zoo.miss.half_torch:half",
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring MiSS in, by the same door as any guest."""
    return CARD
