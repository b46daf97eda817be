"""IA3's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ALL_LINEAR, ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.zoo.ia3.maps import PAPERS, factors
from pegbox_methods.zoo.shared.low_rank import PEFT_TABLE, TARGETS

PAPER = "Liu et al. 2022, arXiv:2205.05638"


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price IA3: one factor for each output of a map, or for each input of the MLP's last one."""
    everywhere = settings["targets"] == ALL_LINEAR
    seconds = 1060 if everywhere else 944
    where = "all linear maps" if everywhere else "keys, values and the MLP's inner activations"
    return Footprint(
        trainable_weights=factors(shape, settings["targets"]),
        step_time_ratio=seconds / 942,
        cpu_step_time_ratio=0.72,
        step_time_source=f"{PEFT_TABLE}: {seconds} s on {where} against 942 s (LoRA, rank 32, on queries and values)",
    )


CARD = Card(
    name="ia3",
    title="IA3",
    summary="Trains one factor for each key, each value and each inner activation of the MLP, and nothing else.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            TARGETS,
            default=PAPERS,
            choices=(PAPERS, *TARGETS.choices),
            help="Which linear maps get factors: those of keys, values and the end of the MLP as in the paper, all but "
            "the head, those of attention, or a list of module names.",
        ),
    ),
    learning_rate=5e-3,
    learning_rate_source=f"{PEFT_TABLE}: .455 at 5e-3, .398 at 1e-3; the paper took 3e-3 with Adafactor",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="there are few rows, or very many adapters of one model",
            why="it has about a hundredth of LoRA's weights, and did better than the same few rows in the prompt",
            source=f"{PAPER}, section 4",
        ),
    ),
    discouraged=(
        Reason(
            when="there is much to learn",
            why="it can only weigh what the base model already computes: .398 on keys, values and the MLP at 1e-3, "
            ".455 on all linear maps at 5e-3, against .478 for LoRA of rank 32",
            source=PEFT_TABLE,
        ),
        Reason(
            when="memory is short",
            why="few weights save none: on all linear maps it took 26.1 GB against 22.3 GB for LoRA on two",
            source=PEFT_TABLE,
        ),
    ),
    torch_half="pegbox_methods.zoo.ia3.half_torch:half",
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring IA3 in, by the same door as any guest."""
    return CARD
