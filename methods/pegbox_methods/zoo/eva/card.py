"""EVA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import ALPHA, DROPOUT, RANK, TARGETS, adapter_weights, wanted

PAPER = "Paischer et al. 2024, arXiv:2410.07170"
EXAMPLE = "PEFT's examples/eva_finetuning"

BATCHES = Setting(
    name="batches",
    kind="whole",
    default=8,
    minimum=1,
    maximum=1000,
    unit="micro-batches",
    help="How many of the first rows it looks at before the first step, or fewer once no direction turns any more.",
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price EVA: LoRA's own weights and work. Every map keeps its rank: PEFT's rho is 1 here."""
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], wanted(settings["targets"])),
        step_time_ratio=1.0,
        step_time_source="LoRA's own computation, once it has looked at the rows",
    )


CARD = Card(
    name="eva",
    title="EVA",
    summary="LoRA whose first matrix begins with the directions in which your rows vary most; no map's rank changes.",
    source=PAPER,
    settings=(
        RANK,
        msgspec.structs.replace(
            ALPHA,
            default=16.0,
            help="The update is scaled by alpha / rank. Less than LoRA's will do: more of each input lies in "
            "directions that were found than in drawn ones.",
        ),
        DROPOUT,
        TARGETS,
        BATCHES,
    ),
    learning_rate=2e-4,
    learning_rate_source=(
        "LoRA's, with alpha = rank: SmolLM2-135M came from a loss of 1.67 to 1.60 in 20 steps of two rows, with LoRA "
        f"to 1.64; {EXAMPLE} takes 5e-4 with alpha 1, which came to 1.66"
    ),
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="the rows are of one kind, and few steps must do",
            why="it learned faster than other beginnings, and had the best mean score over the tasks of each field",
            source=f"{PAPER}, abstract",
        ),
    ),
    discouraged=(
        Reason(
            when="the rows are few or short",
            why="with fewer labelled tokens than the rank there are no directions to find, and it is LoRA",
            source="peft/tuners/lora/eva.py, SVDHook",
        ),
        Reason(
            when="the paper's full gain is wanted",
            why="it also moves ranks from map to map, which is left out here so that the forecast holds",
            source=f"{PAPER}; PEFT's EvaConfig, rho",
        ),
    ),
    torch_half="pegbox_methods.zoo.eva.half_torch:half",
    sharding="it begins with a singular value decomposition of what goes through the whole model, before it is sharded",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring EVA in, by the same door as any guest."""
    return CARD
