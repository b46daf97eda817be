"""Models and devices for tests of the advice, none of which need be here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pegbox_hardware.machine import Machine
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.profiles import PACKAGED, Profiles, load_profiles
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.choose import NOTHING_KNOWN, advise
from pegbox_methods.advice.data_card import AtLength, DataCard
from pegbox_methods.advice.goals import Goal
from pegbox_methods.advice.places import planned_card
from pegbox_methods.advice.records import Advice, Place
from pegbox_methods.card import Card
from pegbox_methods.registry import find_card
from pegbox_methods.suitability import Conditions

ZOO = tuple(find_card(name) for name in ("adalora", "dora", "lora", "qlora", "rslora"))
PROFILES: Profiles = load_profiles(PACKAGED)


def shape(**changes: Any) -> ModelShape:
    """Read a Llama-3 8B's config, with changes."""
    config = {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "vocab_size": 128256,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
        **changes,
    }
    found, why = shape_of(config)
    assert found is not None, why
    return found


def model_135m() -> ModelShape:
    """SmolLM2-135M."""
    small = {"hidden_size": 576, "num_hidden_layers": 30, "vocab_size": 49152, "num_attention_heads": 9}
    return shape(**small, num_key_value_heads=3, intermediate_size=1536, tie_word_embeddings=True)


def model_1b5() -> ModelShape:
    """Qwen2.5-1.5B."""
    size = {"hidden_size": 1536, "num_hidden_layers": 28, "vocab_size": 151936, "num_attention_heads": 12}
    return shape(**size, model_type="qwen2", num_key_value_heads=2, intermediate_size=8960, tie_word_embeddings=True)


def model_3b() -> ModelShape:
    """Llama-3.2-3B."""
    size = {"hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 24, "intermediate_size": 8192}
    return shape(**size, tie_word_embeddings=True)


def model_7b() -> ModelShape:
    """Mistral-7B."""
    return shape(model_type="mistral", vocab_size=32000)


def model_8b() -> ModelShape:
    """Llama-3 8B."""
    return shape()


def model_13b() -> ModelShape:
    """Llama-2 13B."""
    size = {"hidden_size": 5120, "num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 40}
    return shape(**size, vocab_size=32000, intermediate_size=13824, max_position_embeddings=4096)


def model_70b() -> ModelShape:
    """Llama-3 70B."""
    return shape(hidden_size=8192, num_hidden_layers=80, num_attention_heads=64, intermediate_size=28672)


def mixture() -> ModelShape:
    """Qwen3-30B-A3B, most of whose weights are experts."""
    size = {"hidden_size": 2048, "num_hidden_layers": 48, "vocab_size": 151936, "num_key_value_heads": 4}
    experts = {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768, "head_dim": 128}
    return shape(**size, **experts, model_type="qwen3_moe", intermediate_size=6144)


def falcon() -> ModelShape:
    """Falcon-7B, whose linear maps bitsandbytes leaves alone."""
    size = {"hidden_size": 4544, "num_attention_heads": 71, "vocab_size": 65024, "num_key_value_heads": 1}
    return shape(**size, model_type="falcon", multi_query=True, parallel_attn=True, new_decoder_architecture=False)


def rows(count: int = 3000, length: int = 400, limits: tuple[int, ...] = (256, 512, 1024, 2048, 4096)) -> DataCard:
    """Describe rows of one length, half of which is learned."""
    at = tuple(
        AtLength(
            length=limit,
            rows_truncated=float(limit < length),
            trained_kept=min(1.0, max(0.0, limit - length / 2) / (length / 2)),
            mean_tokens=float(min(limit, length)),
        )
        for limit in limits
    )
    return DataCard(
        file="rows.jsonl",
        format="messages",
        rows=count,
        rows_counted=count,
        percentiles=dict.fromkeys(("p50", "p90", "p95", "p99", "max"), length),
        mean_tokens=float(length),
        trained_share=0.5,
        lengths=at,
        counted_with="the model's tokenizer and chat template",
    )


def ask(
    where: Machine | Place | Sequence[Place] | str,
    model: ModelShape,
    data: DataCard | None = None,
    zoo: tuple[Card, ...] = ZOO,
    *,
    given: Conditions = NOTHING_KNOWN,
    others: tuple[str, ...] = (),
    price_per_hour: float | None = None,
    **goal: Any,
) -> Advice:
    """Ask for advice on a machine, or on a card by its name."""
    place = planned_card(where, PROFILES) if isinstance(where, str) else where
    return advise(
        place,
        model,
        data,
        Goal(**goal),
        zoo,
        profiles=PROFILES,
        given=given,
        others=others,
        price_per_hour=price_per_hour,
    )


def value(advice: Advice, key: str) -> Any:
    """Give one advised value."""
    return next(choice.value for choice in advice.choices if choice.key == key)


def why(advice: Advice, what: str) -> str:
    """Say why an alternative lost."""
    return next(one.lost_because for one in advice.alternatives if one.what.startswith(what))
