"""P-tuning's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import PEFT_TABLE
from pegbox_methods.zoo.shared.virtual_tokens import CANNOT_MERGE, CANNOT_START, VIRTUAL_TOKENS

PAPER = "Liu et al. 2021, arXiv:2103.10385"

ENCODER = Setting(
    name="encoder",
    kind="choice",
    default="mlp",
    choices=("mlp", "lstm"),
    help="The network that writes the virtual tokens: three linear maps, or a two-way LSTM that reads them in order.",
)
ENCODER_WIDTH = Setting(
    name="encoder_width",
    kind="whole",
    default=128,
    minimum=1,
    maximum=65536,
    help="Width of that network. It is left out of the saved adapter, which holds only what it wrote.",
)
LSTM_LAYERS = 2
"""PEFT's default."""


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price P-tuning: an embedding for each virtual token, and the network that rewrites them."""
    network = _lstm if settings["encoder"] == "lstm" else _mlp
    embeddings = settings["virtual_tokens"] * shape.hidden
    return Footprint(
        trainable_weights=embeddings + network(shape.hidden, settings["encoder_width"]),
        step_time_ratio=None,
        step_time_source="not measured on a GPU; every row is longer by the virtual tokens",
    )


def _linear(d_in: int, d_out: int) -> int:
    return d_in * d_out + d_out


def _mlp(hidden: int, width: int) -> int:
    """Count three linear maps with biases. Source: PromptEncoder in peft/tuners/p_tuning/model.py."""
    return _linear(hidden, width) + _linear(width, width) + _linear(width, hidden)


def _lstm(hidden: int, width: int) -> int:
    """Count a two-way LSTM, of which each direction has four gates and two biases, and two linear maps behind it.

    Source: PromptEncoder in peft/tuners/p_tuning/model.py; torch.nn.LSTM.
    """
    inputs = [hidden] + [2 * width] * (LSTM_LAYERS - 1)
    gates = sum(2 * 4 * width * (d_in + width + 2) for d_in in inputs)
    return gates + _linear(2 * width, 2 * width) + _linear(2 * width, hidden)


CARD = Card(
    name="p-tuning",
    title="P-tuning",
    summary="Prompt tuning whose virtual tokens are written by a small network, which only training needs.",
    source=PAPER,
    settings=(msgspec.structs.replace(VIRTUAL_TOKENS, default=20), ENCODER, ENCODER_WIDTH),
    learning_rate=2e-3,
    learning_rate_source=(
        "measured with SmolLM2-135M, 15 steps of 4 rows: held-out loss 2.99 to 2.70 at 1e-3, to 2.56 at 5e-3; PEFT's "
        "own runs of 5000 steps take 1e-4 to 1e-3"
    ),
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="prompt tuning gets stuck",
            why="tokens that learn each for itself stay near where they began; the network moves all of them at once",
            source=PAPER,
        ),
    ),
    discouraged=(
        Reason(
            when="answers must be as good as they can be",
            why="20 tokens scored .371, other numbers of tokens, rates and encoders .338 to .367; LoRA .478",
            source=PEFT_TABLE,
        ),
        Reason(
            when="the adapter shall be trained further some day",
            why="the network isn't saved, and nothing can be learned through what it wrote",
            source="PEFT's PromptEncoder, which saves the virtual tokens alone",
        ),
    ),
    torch_half="pegbox_methods.zoo.p_tuning.half_torch:half",
    cannot={"start": CANNOT_START, "merge": CANNOT_MERGE},
    sharding=None,
)


@hookimpl
def pegbox_card() -> Card:
    """Bring P-tuning in, by the same door as any guest."""
    return CARD
