"""VeRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import DROPOUT, PEFT_TABLE, RANK, TARGETS, wanted

PAPER = "Kopiczko et al. 2023, arXiv:2310.11454"
STEP_TIME = 1011 / 942

D_INITIAL = Setting(
    name="d_initial",
    kind="number",
    default=0.1,
    minimum=1e-4,
    maximum=10,
    help="First value of the factors between the two shared matrices; at 0.1 or less the paper found it best.",
)


def vector_weights(shape: ModelShape, rank: int, targets: tuple[str, ...]) -> int:
    """Count the weights VeRA trains: a factor for each rank and one for each output of an adapted map.

    The two random matrices are as wide as the widest map, shared by all of them, and not trained.
    Raises: KeyError: the model has no matrix of that name.
    Source: Kopiczko et al. 2023, section 3.
    """
    return sum(layers * (rank + d_out) for layers, _, d_out, _ in shape.adapted(targets))


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price VeRA: hardly any weights, and the arithmetic of LoRA with as high a rank."""
    return Footprint(
        trainable_weights=vector_weights(shape, settings["rank"], wanted(settings["targets"])),
        step_time_ratio=STEP_TIME,
        cpu_step_time_ratio=1.17,
        step_time_source=f"{PEFT_TABLE}: 1011 s (rank 256) against 942 s (LoRA, rank 32), both on queries and values",
    )


CARD = Card(
    name="vera",
    title="VeRA",
    summary="One random pair of matrices serves every linear map; only two vectors for each of them are trained.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            RANK,
            default=256,
            help="Width of the shared random matrices. It costs one weight a map, so it is far higher than LoRA's.",
        ),
        D_INITIAL,
        msgspec.structs.replace(DROPOUT, default=0.0, help="Part of the adapter's inputs set to zero while training."),
        TARGETS,
    ),
    learning_rate=1e-2,
    learning_rate_source=(
        "measured with SmolLM2-135M: 12 steps took its loss from 3.96 to 2.89 at 2e-2, to 3.75 at 5e-3; LoRA to "
        "3.05 at its own 2e-4"
    ),
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="many adapters of one model shall be kept or sent",
            why="it trains a tenth or less of LoRA's weights, and all adapters made with one seed share the rest",
            source=f"{PAPER}, sections 3 and 4",
        ),
    ),
    discouraged=(
        Reason(
            when="quality comes before the size of the file",
            why="it scored .354 against .478 for LoRA of rank 32, in as much time and memory",
            source=PEFT_TABLE,
        ),
    ),
    torch_half="pegbox_methods.zoo.vera.half_torch:half",
    sharding="in 16 bits its projections stay in float32 beside weights that FSDP2 casts, and it fails",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring VeRA in, by the same door as any guest."""
    return CARD
