"""The card of trainable tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Footprint, Needs, Reason
from pegbox_methods.hookspecs import hookimpl
from pegbox_methods.setting import Setting
from pegbox_methods.zoo.shared.low_rank import PEFT_TABLE

SOURCE = "PEFT 0.21, TrainableTokensConfig"
FREQUENT = "frequent"
FREQUENT_TOKENS = 64
"""How many tokens that word stands for."""
STEP_TIME = 1003 / 942

TOKENS = Setting(
    name="tokens",
    kind="names",
    default=FREQUENT,
    choices=(FREQUENT,),
    unit="tokens",
    help='Which tokens learn: the 64 that the training rows hold most often, or a list of them, as in "<tool>".',
)


def count_tokens(tokens: str | list[str], vocabulary: int) -> int:
    """Count the tokens that the setting names."""
    return min(FREQUENT_TOKENS, vocabulary) if tokens == FREQUENT else len(tokens)


def footprint(shape: ModelShape, settings: Mapping[str, Any]) -> Footprint:
    """Price the embeddings that are trained; a head that shares them adds none."""
    return Footprint(
        trainable_weights=count_tokens(settings["tokens"], shape.vocabulary) * shape.hidden,
        step_time_ratio=STEP_TIME,
        step_time_source=f"{PEFT_TABLE}: 1003 s (2 tokens) against 942 s (LoRA, rank 32)",
    )


CARD = Card(
    name="trainable-tokens",
    title="Trainable tokens",
    summary="Trains the embeddings of a few tokens, and nothing else; the head's too, where it shares them.",
    source=SOURCE,
    settings=(TOKENS,),
    learning_rate=5e-3,
    learning_rate_source=(
        "measured with SmolLM2-135M, 15 steps of 4 rows: held-out loss 2.93 to 1.52 at 3e-3, 1.56 at 1e-2, 2.18 at 5e-2"
    ),
    needs=Needs(linear_layers_only=False),
    footprint=footprint,
    recommended=(
        Reason(
            when="the rows use special tokens that the model hasn't learned yet, of a chat template or of tool calls",
            why="their embeddings are all that is missing, and every other token stays exactly as it was",
            source=SOURCE,
        ),
    ),
    discouraged=(
        Reason(
            when="the model shall learn more than the meaning of those tokens",
            why="with the first and the last token trained it scored .292, LoRA .478",
            source=PEFT_TABLE,
        ),
        Reason(
            when="the vocabulary is large and memory is short",
            why="each step makes a copy of the whole embedding table with the learned rows in it, and a gradient of "
            "that size; where the head shares the table, two",
            source="PEFT's TrainableTokensLayer.get_merged_weights",
        ),
    ),
    torch_half="pegbox_methods.zoo.trainable_tokens.half_torch:half",
    sharding="it puts its own rows among whole embeddings, and each process holds a part of those",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring trainable tokens in, by the same door as any guest."""
    return CARD
