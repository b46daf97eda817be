"""PiSSA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import ALPHA, DROPOUT, RANK, TARGETS, adapter_weights, wanted

PAPER = "Meng, Wang and Zhang 2024, arXiv:2404.02948"
CONVERSION = "PEFT's PeftModel.save_pretrained, path_initial_model_for_weight_conversion"
TAKEN_OUT = "the adapter's beginning is taken out of them, and put back in by what is saved"
ROUNDED_ANEW = (
    "what is left of its weights would be rounded anew, and what is saved would fit no other copy of the base"
)

DECOMPOSITION = Setting(
    name="decomposition",
    kind="choice",
    default="fast",
    choices=("fast", "exact"),
    help="How the largest directions are found: 'fast' by sampling, 'exact' by a whole decomposition in ten times the "
    "time; what the one misses stays in the base.",
)
"""SmolLM2-135M on a CPU, rank 8: 1.7 s and 17 s."""


TWICE_THE_RANK = Reason(
    when="a server's limit on ranks is near, or the adapter must be small",
    why="what was learned is told from what was there before, which takes an adapter of twice the rank",
    source=CONVERSION,
)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price PiSSA: LoRA's own weights and work, after a decomposition at the beginning."""
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], wanted(settings["targets"])),
        step_time_ratio=1.0,
        step_time_source="LoRA's own computation, once the weights are decomposed",
    )


CARD = Card(
    name="pissa",
    title="PiSSA",
    summary="LoRA that begins as the largest directions of the weights themselves; saved as LoRA of twice the rank.",
    source=PAPER,
    settings=(
        RANK,
        msgspec.structs.replace(
            ALPHA, default=16.0, help="The update is scaled by alpha / rank. The authors take alpha = rank."
        ),
        msgspec.structs.replace(
            DROPOUT,
            default=0.0,
            help="Part of the adapter's inputs set to zero while training; it takes the base's own largest directions "
            "away with them.",
        ),
        TARGETS,
        DECOMPOSITION,
    ),
    learning_rate=1e-4,
    learning_rate_source=(
        "half of LoRA's. The authors take 2e-5 for both, in batches of 128; SmolLM2-135M came from a loss of 1.67 to "
        "1.65 in 20 steps of two rows at 2e-5 and to 1.60 at 1e-4, with LoRA to 1.64 at 2e-4"
    ),
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="few steps must do, and the base model fits in 16 bits",
            why="it learns from the first step where the model does most; Mistral-7B came to 72.86 % on GSM8K, and to "
            "67.7 % with LoRA",
            source=f"{PAPER}, abstract",
        ),
    ),
    discouraged=(
        TWICE_THE_RANK,
        Reason(
            when="the base model is to stay as it is in memory, for other adapters beside this one",
            why="its weights lack what the adapter began with until the model is loaded again",
            source="peft/tuners/lora/layer.py, pissa_init",
        ),
    ),
    torch_half="pegbox_methods.zoo.pissa.half_torch:half",
    sharding="it begins with a singular value decomposition of whole weights, which it changes "
    "for good before they could be sharded",
    cannot={"base": TAKEN_OUT, "4-bit": ROUNDED_ANEW},
)


@hookimpl
def pegbox_card() -> Card:
    """Bring PiSSA in, by the same door as any guest."""
    return CARD
