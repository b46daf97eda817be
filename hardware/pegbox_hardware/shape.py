"""The matrices of a model, read from its config.json: no weights, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

LLAMA_LIKE = frozenset({"llama", "mistral", "qwen2", "qwen3", "smollm3", "gemma", "gemma2"})
"""Values of `model_type` whose decoder layers hold the seven linear maps q, k, v, o, gate, up, down."""


class ModelShape(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder-only language model as the sizes of its parts."""

    architecture: str
    layers: int
    hidden: int
    vocabulary: int
    tied_head: bool
    positions: int | None
    """Longest sequence in tokens the model was built for."""
    matrices: dict[str, tuple[int, int]]
    """Linear maps of one layer, without the head: name -> (d_out, d_in)."""


def read_shape(config: Path) -> tuple[ModelShape | None, str]:
    """Read the shape of a model from its config.json.

    Returns: (shape, "") or (None, why it isn't known).
    Raises: OSError: the file can't be read; ValueError: it isn't JSON.
    """
    return shape_of(json.loads(config.read_text(encoding="utf-8")))


def shape_of(config: Mapping[str, Any]) -> tuple[ModelShape | None, str]:
    """Derive the shape from a config's fields.

    Returns: (shape, "") or (None, why it isn't known).
    Source: the attention and MLP classes of transformers' modeling_llama.py.
    """
    kind = str(config.get("model_type"))
    if kind not in LLAMA_LIKE:
        return None, f"model type {kind!r} is not one whose matrices Pegbox knows"
    required = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    missing = [name for name in required if not isinstance(config.get(name), int) or config[name] < 1]
    if missing:
        return None, f"config.json gives no number for {', '.join(missing)}"
    hidden, heads, inner = (int(config[n]) for n in ("hidden_size", "num_attention_heads", "intermediate_size"))
    head = int(config.get("head_dim") or hidden // heads)
    q, kv = heads * head, int(config.get("num_key_value_heads") or heads) * head
    return (
        ModelShape(
            architecture=kind,
            layers=int(config["num_hidden_layers"]),
            hidden=hidden,
            vocabulary=int(config["vocab_size"]),
            # Gemma's configs leave the key out because tied is their class's default.
            tied_head=bool(config.get("tie_word_embeddings", kind.startswith("gemma"))),
            positions=config.get("max_position_embeddings"),
            matrices={
                "q_proj": (q, hidden),
                "k_proj": (kv, hidden),
                "v_proj": (kv, hidden),
                "o_proj": (hidden, q),
                "gate_proj": (inner, hidden),
                "up_proj": (inner, hidden),
                "down_proj": (hidden, inner),
            },
        ),
        "",
    )
