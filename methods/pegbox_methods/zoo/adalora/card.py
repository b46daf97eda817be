"""AdaLoRA's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.forecast.setup import USUAL_SURPLUS
from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.adalora.schedule import initial_rank, least_steps
from pegbox_methods.zoo.shared.low_rank import ALPHA, DROPOUT, PEFT_TABLE, RANK, TARGETS, adapter_weights, wanted

PAPER = "Zhang et al. 2023, arXiv:2303.10512"

SURPLUS = Setting(
    name="surplus",
    kind="number",
    default=USUAL_SURPLUS,
    minimum=1.01,
    maximum=16,
    unit="times rank",
    help="Every matrix starts with this many times the rank; what is over is taken where it matters least.",
)
FREE_SHARE = Setting(
    name="free_share",
    kind="number",
    default=0.2,
    minimum=0,
    maximum=0.5,
    unit="share of the steps",
    help="Beginning of the run in which all ranks learn and none is taken.",
)
FINAL_SHARE = Setting(
    name="final_share",
    kind="number",
    default=0.3,
    minimum=0,
    maximum=0.45,
    unit="share of the steps",
    help="End of the run in which the ranks that are left learn and none is taken.",
)
INTERVAL = Setting(
    name="interval",
    kind="whole",
    default=10,
    minimum=1,
    maximum=10_000,
    unit="steps",
    help="Steps between two cuts. A run needs that many between its beginning and its end phase.",
)
ORTHOGONALITY = Setting(
    name="orthogonality",
    kind="number",
    default=0.1,
    minimum=0,
    maximum=10,
    help="Weight of the term that keeps ranks different from each other; it is not part of the loss that is told.",
)
STEP_TIME = 1169 / 942


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price AdaLoRA at its beginning, where memory is at its peak: A, B and one value a rank, of the initial rank.

    Ranks that are taken are set to zero and left out of the saved adapter; they go on taking memory in the run.
    """
    rank, targets = initial_rank(settings), wanted(settings["targets"])
    values = sum(layers * rank for layers, *_ in shape.adapted(targets))
    return Footprint(
        trainable_weights=adapter_weights(shape, rank, targets) + values,
        step_time_ratio=STEP_TIME,
        cpu_step_time_ratio=1.09,
        step_time_source=f"{PEFT_TABLE}: 1169 s (rank 64 to 32) against 942 s (LoRA, rank 32).",
    )


CARD = Card(
    name="adalora",
    title="AdaLoRA",
    summary="Starts with more rank than asked for, and takes it away where it matters least.",
    source=PAPER,
    settings=(
        msgspec.structs.replace(RANK, help="Rank a matrix has on average at the end."),
        SURPLUS,
        msgspec.structs.replace(ALPHA, help="The update is scaled by alpha / initial rank."),
        DROPOUT,
        TARGETS,
        FREE_SHARE,
        FINAL_SHARE,
        INTERVAL,
        ORTHOGONALITY,
    ),
    learning_rate=1e-3,
    learning_rate_source=f"{PAPER}, appendices: its runs take 5e-4 to 2e-3, above LoRA's, as all values begin at zero",
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="the weights of the adapter are a budget, and shall find the layers that need them",
            why="at equal size it beat LoRA on GLUE and SQuAD, most of all with few weights",
            source=f"{PAPER}, section 4",
        ),
    ),
    discouraged=(
        Reason(
            when="nothing is known to speak for it: compare it, don't start with it",
            why="at rank 64 to 32 it scored .373 against .478 for LoRA of rank 32, in a quarter more time",
            source=PEFT_TABLE,
        ),
        Reason(
            when="the run is short",
            why="importance is an average over steps; with the default interval it takes 20 at the very least",
            source="pegbox_methods.zoo.adalora.schedule",
        ),
    ),
    torch_half="pegbox_methods.zoo.adalora.half_torch:half",
    sharding="it prunes ranks by sums over whole matrices, and each process would see its own part of them alone",
    least_steps=least_steps,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring AdaLoRA in, by the same door as any guest."""
    return CARD
