"""LoRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting

PAPER = "Hu et al. 2021, arXiv:2106.09685"
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")

RANK = Setting(
    name="rank",
    kind="whole",
    default=16,
    minimum=1,
    maximum=4096,
    help="Width of the two thin matrices. 8 for format and tone, 16 to start with, 32 to 64 for broad tasks.",
)
ALPHA = Setting(
    name="alpha",
    kind="number",
    default=32.0,
    minimum=0.001,
    maximum=65536,
    help="The update is scaled by alpha / rank. Twice the rank is the usual choice.",
)
DROPOUT = Setting(
    name="dropout",
    kind="number",
    default=0.05,
    minimum=0,
    maximum=0.9,
    unit="share",
    help="Part of the adapter's inputs set to zero while training; 0 is a little faster.",
)
TARGETS = Setting(
    name="targets",
    kind="names",
    default="all-linear",
    choices=("all-linear", "attention"),
    help="Which linear maps get an adapter: all but the head, those of attention, or a list of module names.",
)


def adapter_weights(shape: ModelShape, rank: int, targets: tuple[str, ...]) -> int:
    """Count the weights LoRA adds to a model.

    An adapted matrix W (d_out, d_in) gains A (rank, d_in) and B (d_out, rank).

    Returns: a number of weights, not of bytes.
    Raises: KeyError: the model has no matrix of that name.
    Source: Hu et al. 2021, section 4.1, arXiv:2106.09685.
    """
    return shape.layers * sum(rank * sum(shape.matrices[name]) for name in targets)


def target_names(shape: ModelShape, targets: str | list[str]) -> tuple[str, ...]:
    """Resolve the setting `targets` to the names of a layer's matrices."""
    if targets == "all-linear":
        return tuple(shape.matrices)
    return ATTENTION if targets == "attention" else tuple(targets)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price LoRA, the unit in which the other methods' step times are given."""
    return Footprint(
        trainable_weights=adapter_weights(shape, settings["rank"], target_names(shape, settings["targets"])),
        step_time_ratio=1.0,
        step_time_source="by definition",
    )


CARD = Card(
    name="lora",
    title="LoRA",
    summary="Trains two thin matrices beside each linear map; the base model stays as it is.",
    source=PAPER,
    settings=(RANK, ALPHA, DROPOUT, TARGETS),
    learning_rate=2e-4,
    learning_rate_source="about ten times full fine-tuning's; QLoRA paper, arXiv:2305.14314, table 9",
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="the base model fits in 16 bits with room to spare",
            why="the fastest method per step of those that adapt every layer, and every server can load it",
            source=PAPER,
        ),
    ),
    discouraged=(
        Reason(
            when="the base model doesn't fit in 16 bits",
            why="its weights alone would fill the device; a 4-bit base needs about a third of it",
            source="QLoRA paper, arXiv:2305.14314",
        ),
    ),
    torch_half="pegbox_methods.zoo.lora.half_torch:half",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring LoRA in, by the same door as any guest."""
    return CARD
