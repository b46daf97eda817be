"""The fields of a config.json, read with care: what is absurd is refused, what is missing refused or noted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_hardware.shape import ModelShape

Matrices = dict[str, tuple[int, int]]

MOST = 2**31
"""No size in a config is larger than this; what is, is a mistake."""


class BadConfig(ValueError):
    """A config that tells no shape; the message names the field."""


class Fields:
    """A config's fields, with what had to be assumed."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        inner = config.get("text_config")
        self.values: dict[str, Any] = {**config, **inner} if isinstance(inner, Mapping) else dict(config)
        self.assumed: list[str] = []

    def size(self, *names: str) -> int:
        """Give a size that must be there, under the first of its names that is.

        Raises: BadConfig.
        """
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
                raise BadConfig(f"config.json: {name} = {value!r}: expected a whole number from 1 to {MOST}")
            return value
        raise BadConfig(f"config.json gives no number for {' or '.join(names)}")

    def size_or(self, default: int, why: str, *names: str) -> int:
        """Give a size, or a default that is noted as assumed; a null is the family's own way to say so."""
        if not any(self.values.get(name) is not None for name in names):
            if why and not any(name in self.values for name in names):
                self.assumed.append(f"{names[0]} is missing; taken as {default}, {why}")
            return default
        return self.size(*names)

    def flag(self, name: str, default: bool) -> bool:
        """Give a switch."""
        value = self.values.get(name)
        return default if value is None else bool(value)

    def number(self, name: str, default: float) -> float:
        """Give a number."""
        value = self.values.get(name)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default


class Common:
    """Sizes that all families have, under the names most of them use."""

    def __init__(self, fields: Fields) -> None:
        self.hidden = fields.size("hidden_size", "n_embd", "d_model")
        self.layers = fields.size("num_hidden_layers", "n_layer", "n_layers")
        self.vocabulary = fields.size("vocab_size", "padded_vocab_size")
        self.heads = fields.size("num_attention_heads", "n_head", "n_heads")
        self.kv_heads = fields.size_or(
            self.heads, "as many as num_attention_heads", "num_key_value_heads", "num_kv_heads"
        )
        even = self.hidden % self.heads == 0
        if not even and fields.values.get("head_dim") is None:
            raise BadConfig(
                f"config.json: hidden_size = {self.hidden} isn't a multiple of num_attention_heads = {self.heads}, "
                "and head_dim is missing"
            )
        if self.heads % self.kv_heads:
            raise BadConfig(
                f"config.json: num_attention_heads = {self.heads} isn't a multiple of num_key_value_heads = "
                f"{self.kv_heads}"
            )
        self.head = fields.size_or(self.hidden // self.heads, "", "head_dim")
        positions = fields.values.get("max_position_embeddings", fields.values.get("n_positions"))
        self.positions = positions if isinstance(positions, int) and positions > 0 else None

    @property
    def q(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head

    @property
    def kv(self) -> int:
        """Width of all key heads together."""
        return self.kv_heads * self.head

    def shape(self, fields: Fields, kind: str, **parts: Any) -> ModelShape:
        """Put the shape together, with what the family says of itself."""
        given = {
            "architecture": kind,
            "hidden": self.hidden,
            "vocabulary": self.vocabulary,
            "tied_head": fields.flag("tie_word_embeddings", False),
            "positions": self.positions,
            "heads": self.heads,
            "kv_heads": self.kv_heads,
            "head": self.head,
            "value_head": self.head,
            "small_weights": self.hidden,
            **parts,
        }
        return ModelShape(**given, assumed=tuple(fields.assumed))


def attention_maps(common: Common) -> Matrices:
    """Give the four maps of grouped-head attention, under Llama's names."""
    hidden, q, kv = common.hidden, common.q, common.kv
    return {"q_proj": (q, hidden), "k_proj": (kv, hidden), "v_proj": (kv, hidden), "o_proj": (hidden, q)}


def gated_mlp_maps(hidden: int, inner: int, prefix: str = "") -> Matrices:
    """Give the three maps of a gated MLP, under Llama's names."""
    sizes = {"gate_proj": (inner, hidden), "up_proj": (inner, hidden), "down_proj": (hidden, inner)}
    return {f"{prefix}{name}": size for name, size in sizes.items()}


def composite_gelu(fields: Fields, default: str) -> bool:
    """Tell whether the activation is a GELU written out in single operations."""
    named = fields.values.get("hidden_act") or fields.values.get("activation_function") or default
    return named in {"gelu_new", "gelu_fast", "quick_gelu"}


def rotary_share(fields: Fields, default: float, name: str = "partial_rotary_factor") -> float:
    """Give the share of a head that is rotated."""
    given = fields.values.get("rope_parameters")
    if isinstance(given, Mapping) and isinstance(given.get("partial_rotary_factor"), (int, float)):
        return float(given["partial_rotary_factor"])
    return fields.number(name, default)
