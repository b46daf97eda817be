"""BOFT's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.oft.card import BLOCK_SIZE
from pegbox_methods.zoo.shared.low_rank import DROPOUT, PEFT_TABLE, TARGETS, wanted

PAPER = "Liu et al. 2023, arXiv:2311.06243"
TABLE_OF_2025 = f"{PEFT_TABLE}, run in June 2025"
STEP_TIME = 8292 / 1796

N_BUTTERFLY_FACTOR = Setting(
    name="n_butterfly_factor",
    kind="whole",
    default=2,
    minimum=1,
    maximum=12,
    help="Rotations one after the other, each mixing blocks twice as wide as the one before; 1 is OFT with scaled "
    "outputs.",
)


def butterfly_weights(shape: ModelShape, size: int, factors: int, targets: tuple[str, ...]) -> int:
    """Count the weights BOFT trains: a square for each block of each factor, and a scale for each output.

    Only the difference of a square and its transpose counts for the rotation, but PEFT trains all of it.
    Raises: KeyError: the model has no matrix of that name.
    Source: update_layer() in peft/tuners/boft/layer.py.
    """
    return sum(
        layers * (factors * (d_in // size) * size * size + d_out) for layers, _, d_out, d_in in shape.adapted(targets)
    )


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price BOFT: few weights, but a square of a map's inputs is multiplied out in every forward pass."""
    targets = wanted(settings["targets"])
    return Footprint(
        trainable_weights=butterfly_weights(shape, settings["block_size"], settings["n_butterfly_factor"], targets),
        step_time_ratio=STEP_TIME,
        step_time_source=(
            f"{TABLE_OF_2025}: 8292 s (blocks of 4, one factor) against 1796 s (LoRA, rank 32), both on queries and "
            "values. More factors and wider maps cost more."
        ),
    )


CARD = Card(
    name="boft",
    title="BOFT",
    summary="Rotates each map's inputs in several small steps, so that few weights mix many inputs.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(
            BLOCK_SIZE,
            default=8,
            help="Inputs that are rotated together in one step. It must be even, and times 2 for each butterfly "
            "factor after the first it must divide the inputs of every adapted map.",
        ),
        N_BUTTERFLY_FACTOR,
        msgspec.structs.replace(
            DROPOUT, default=0.0, help="Part of the blocks of one factor that don't rotate while training."
        ),
        msgspec.structs.replace(TARGETS, default="attention"),
    ),
    learning_rate=5e-4,
    learning_rate_source=(
        "measured with SmolLM2-135M: 12 steps took its loss from 3.96 to 1.71 at 1e-3, as LoRA did (1.56); half "
        "of that leaves room for longer runs. PEFT's comparison took 1e-4, which was little"
    ),
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="a rotation shall mix more inputs than OFT's blocks, at the same number of weights",
            why="m factors with blocks of b mix b x 2^(m-1) inputs, for m x b weights each",
            source=f"{PAPER}; block_butterfly_perm() in peft/tuners/boft/layer.py",
        ),
    ),
    discouraged=(
        Reason(
            when="the model isn't a small one",
            why="for each adapted map a square of its input width is multiplied out in every pass: on 3B, and queries "
            "and values alone, a run took 4.6 times as long as LoRA's",
            source=f"{TABLE_OF_2025}; forward() in peft/tuners/boft/layer.py",
        ),
        Reason(
            when="nothing is known to speak for it: compare it, don't start with it",
            why="with blocks of 4 and one factor it scored .365 against .482 for LoRA of rank 32",
            source=TABLE_OF_2025,
        ),
    ),
    torch_half="pegbox_methods.zoo.boft.half_torch:half",
    sharding="it turns its blocks into one factor where it saves them, from whole weights, which no process holds then",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring BOFT in, by the same door as any guest."""
    return CARD
