"""RoAd's card: what Pegbox may know of it without loading torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_methods import Card, Footprint, Needs, Reason, Setting, hookimpl
from pegbox_methods.zoo.shared.low_rank import TARGETS, wanted

PAPER = "Liao and Monz 2024, arXiv:2409.00119"

WEIGHTS_PER_OUTPUT = {"road_1": 1, "road_2": 2, "road_4": 4}
"""Trained weights for each output of a map, angles and stretches together."""

VARIANT = Setting(
    name="variant",
    kind="choice",
    default="road_1",
    choices=tuple(WEIGHTS_PER_OUTPUT),
    help="How free the 2x2 matrix of a pair is: one angle and one stretch, two of each, or four.",
)
GROUP_SIZE = Setting(
    name="group_size",
    kind="whole",
    default=64,
    minimum=2,
    maximum=65536,
    unit="outputs",
    help="Outputs that are paired among themselves; even, and it must divide every adapted map's outputs.",
)


def footprint(shape: Any, settings: Mapping[str, Any]) -> Footprint:
    """Count an angle and a stretch for each pair of outputs, or for each output, or two of each."""
    per_output = WEIGHTS_PER_OUTPUT[settings["variant"]]
    outputs = sum(layers * d_out for layers, _, d_out, _ in shape.adapted(wanted(settings["targets"])))
    return Footprint(
        trainable_weights=per_output * outputs,
        step_time_ratio=None,
        step_time_source="no GPU was measured; on a CPU it is a tenth faster than LoRA (SmolLM2-135M, 5 steps)",
    )


CARD = Card(
    name="road",
    title="RoAd",
    summary="Rotates and stretches each pair of a map's outputs: less than a thousandth of the weights.",
    source=PAPER,
    settings=(VARIANT, GROUP_SIZE, TARGETS),
    learning_rate=1e-3,
    learning_rate_source="PEFT's documentation of RoAd: higher than LoRA's, around 1e-3",
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="many adapters shall be served side by side in one batch",
            why="an adapter is an element-wise product, so rows of one batch may each have their own",
            source=f"{PAPER}, section 4",
        ),
    ),
    discouraged=(
        Reason(
            when="much is to be learned that the base model doesn't know",
            why="it turns and scales what a map already gives, and adds nothing to it",
            source=PAPER,
        ),
    ),
    torch_half="pegbox_road.half_torch:half",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring RoAd in."""
    return CARD
