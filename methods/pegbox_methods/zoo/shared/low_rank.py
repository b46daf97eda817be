"""What the cards of the low-rank methods share: their settings, and the count of their weights."""

from __future__ import annotations

from pegbox_hardware.shape import ModelShape
from pegbox_methods.setting import Setting

PEFT_TABLE = "PEFT's method_comparison, MetaMathQA (Llama-3.2-3B on an L40S, batch 4, length 768, 5000 steps, one seed)"
LORA_PAPER = "Hu et al. 2021, arXiv:2106.09685"
QLORA_PAPER = "Dettmers et al. 2023, arXiv:2305.14314"

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


def wanted(targets: str | list[str]) -> tuple[str, ...]:
    """Give the setting `targets` as `ModelShape.adapted` takes it."""
    return (targets,) if isinstance(targets, str) else tuple(targets)


def adapter_weights(shape: ModelShape, rank: int, targets: tuple[str, ...]) -> int:
    """Count the weights LoRA adds to a model.

    An adapted matrix W (d_out, d_in) gains A (rank, d_in) and B (d_out, rank).

    Returns: a number of weights, not of bytes.
    Raises: KeyError: the model has no matrix of that name.
    Source: Hu et al. 2021, section 4.1, arXiv:2106.09685.
    """
    return sum(layers * rank * (d_out + d_in) for layers, _, d_out, d_in in shape.adapted(targets))
