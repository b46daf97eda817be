"""OFT's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import PEFT_TABLE, TARGETS, wanted

PAPER = "Qiu et al. 2023, arXiv:2306.07280; Qiu et al. 2025 (OFTv2), arXiv:2506.19847"
STEP_TIME = 1192 / 942

BLOCK_SIZE = Setting(
    name="block_size",
    kind="whole",
    default=32,
    minimum=2,
    maximum=8192,
    unit="inputs",
    help="Inputs that are rotated together. It must divide the inputs of every adapted map; the larger, the more "
    "weights.",
)


def rotation_weights(shape: ModelShape, size: int, targets: tuple[str, ...]) -> int:
    """Count the angles OFT trains: those above the diagonal of each block of a map's inputs.

    Raises: KeyError: the model has no matrix of that name.
    Source: Qiu et al. 2025, arXiv:2506.19847; update_layer() in peft/tuners/oft/layer.py.
    """
    return sum(layers * (d_in // size) * (size * (size - 1) // 2) for layers, _, _, d_in in shape.adapted(targets))


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price OFT: half a square of weights for each block, and a rotation of each adapted map's inputs."""
    return Footprint(
        trainable_weights=rotation_weights(shape, settings["block_size"], wanted(settings["targets"])),
        step_time_ratio=STEP_TIME,
        cpu_step_time_ratio=0.94,
        step_time_source=(
            f"{PEFT_TABLE}: 1192 s (32 blocks a map) against 942 s (LoRA, rank 32), both on queries and values"
        ),
    )


CARD = Card(
    name="oft",
    title="OFT",
    summary="Rotates each linear map's inputs block by block; angles between the rows of its weight stay as they are.",
    source=PAPER,
    settings=(BLOCK_SIZE, TARGETS),
    learning_rate=1e-4,
    learning_rate_source=f"{PEFT_TABLE}; angles need less than LoRA's matrices",
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="what the base model knows shall be disturbed little",
            why="it turns all rows of a weight alike, and so keeps the angles between them, which the paper holds to "
            "matter most",
            source="Qiu et al. 2023, section 3, arXiv:2306.07280",
        ),
        Reason(
            when="quality matters a little more than time",
            why="it scored .491 against .478 for LoRA of rank 32, within chance, in a quarter more time",
            source=PEFT_TABLE,
        ),
    ),
    discouraged=(
        Reason(
            when="time is short",
            why="a step takes 1.3 times LoRA's",
            source=PEFT_TABLE,
        ),
    ),
    torch_half="pegbox_methods.zoo.oft.half_torch:half",
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring OFT in, by the same door as any guest."""
    return CARD
