"""How each family of models names and joins its parts, and which fields of its config tell their sizes.

Source: the classes of transformers 5.23 of the same names; a test builds each of them and counts its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pegbox_hardware.shape import Block, Experts, ModelShape

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


def shape_from(config: Mapping[str, Any]) -> ModelShape:
    """Derive the shape from a config's fields.

    Raises: BadConfig: a field that is needed is missing or absurd.
    """
    fields = Fields(config)
    kind = fields.values.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        said = f"model_type {kind!r} is not known" if kind else "model_type is missing"
        fields.assumed.append(f"{said}; read as a Llama-like model")
        # `gated_mlp` is how configs of other tools than transformers say that there are two maps, not three.
        build = _llama if fields.flag("gated_mlp", True) else _gpt_neox
        return msgspec.structs.replace(build(fields, str(kind or "unknown")), known=False)
    return FAMILIES[kind](fields, kind)


def _attention(common: Common) -> Matrices:
    hidden, q, kv = common.hidden, common.q, common.kv
    return {"q_proj": (q, hidden), "k_proj": (kv, hidden), "v_proj": (kv, hidden), "o_proj": (hidden, q)}


def _gated_mlp(hidden: int, inner: int, prefix: str = "") -> Matrices:
    sizes = {"gate_proj": (inner, hidden), "up_proj": (inner, hidden), "down_proj": (hidden, inner)}
    return {f"{prefix}{name}": size for name, size in sizes.items()}


def _llama(fields: Fields, kind: str) -> ModelShape:
    """Llama, Mistral, Qwen2, Qwen3, SmolLM3, Granite, OLMo 2, Gemma 1 to 3."""
    gemma = kind.startswith("gemma")
    if gemma and kind != "gemma3_text" and fields.values.get("head_dim") is None:
        fields.values["head_dim"] = 256  # the default of those classes, whatever the hidden size
    if kind == "qwen3" and fields.values.get("head_dim") is None:
        fields.values["head_dim"] = 128
    common = Common(fields)
    inner = fields.size("intermediate_size", "ffn_hidden_size")
    hidden, q, kv = common.hidden, common.q, common.kv
    norms = 4 if kind in {"gemma2", "gemma3_text"} else 2
    small = norms * hidden
    if kind == "qwen2":
        small += q + 2 * kv
    elif fields.flag("attention_bias", False):
        small += q + 2 * kv + hidden
    if fields.flag("mlp_bias", False):
        small += 2 * inner + hidden
    qk_norm = kind in {"qwen3", "gemma3_text", "olmo2"}
    if qk_norm:
        small += q + kv if kind == "olmo2" else 2 * common.head
    matrices = _attention(common) | _gated_mlp(hidden, inner)
    return common.shape(
        fields,
        kind,
        blocks=(Block(count=common.layers, matrices=matrices, inner=inner, small_weights=small),),
        norm="gemma" if gemma else "rms",
        norms=norms,
        qk_norm=qk_norm,
        attention_cap=kind == "gemma2" and fields.values.get("attn_logit_softcapping", 50.0) is not None,
        logit_cap=kind == "gemma2" and fields.values.get("final_logit_softcapping", 30.0) is not None,
        # These leave the key out of their configs because tied is their class's default.
        tied_head=fields.flag("tie_word_embeddings", gemma or kind == "smollm3"),
    )


def _stablelm(fields: Fields, kind: str) -> ModelShape:
    common = Common(fields)
    inner = fields.size("intermediate_size")
    hidden = common.hidden
    parallel = fields.flag("use_parallel_residual", False)
    small = (1 if parallel else 2) * 2 * hidden
    if fields.flag("use_qkv_bias", False):
        small += common.q + 2 * common.kv
    if fields.flag("qk_layernorm", False):
        small += common.q + common.kv
    return common.shape(
        fields,
        kind,
        blocks=(
            Block(
                count=common.layers,
                matrices=_attention(common) | _gated_mlp(hidden, inner),
                inner=inner,
                small_weights=small,
            ),
        ),
        norm="layer",
        norms=1 if parallel else 2,
        parallel=parallel,
        qk_norm=fields.flag("qk_layernorm", False),
        rotary=_rotary(fields, 0.25),
        small_weights=2 * hidden,
    )


def _phi3(fields: Fields, kind: str) -> ModelShape:
    common = Common(fields)
    inner = fields.size("intermediate_size")
    hidden = common.hidden
    matrices = {
        "qkv_proj": (common.q + 2 * common.kv, hidden),
        "o_proj": (hidden, common.q),
        "gate_up_proj": (2 * inner, hidden),
        "down_proj": (hidden, inner),
    }
    return common.shape(
        fields,
        kind,
        blocks=(Block(count=common.layers, matrices=matrices, inner=inner, small_weights=2 * hidden),),
        fused_qkv=True,
        fused_mlp=True,
        rotary=_rotary(fields, 1.0),
    )


def _phi(fields: Fields, kind: str) -> ModelShape:
    common = Common(fields)
    inner = fields.size_or(4 * common.hidden, "four times hidden_size", "intermediate_size")
    hidden = common.hidden
    attention = {("dense" if name == "o_proj" else name): size for name, size in _attention(common).items()}
    small = 2 * hidden + common.q + 2 * common.kv + hidden + inner + hidden
    return common.shape(
        fields,
        kind,
        blocks=(
            Block(
                count=common.layers,
                matrices={**attention, "fc1": (inner, hidden), "fc2": (hidden, inner)},
                inner=inner,
                small_weights=small,
            ),
        ),
        norm="layer",
        norms=1,
        parallel=True,
        gated=False,
        rotary=_rotary(fields, 0.5),
        composite_gelu=_composite(fields, "gelu_new"),
        residual_dropout=fields.number("resid_pdrop", 0.0) > 0,
        small_weights=2 * hidden + common.vocabulary,
    )


def _gpt_neox(fields: Fields, kind: str) -> ModelShape:
    fields.values["num_key_value_heads"] = None  # it has no grouped heads, and its configs no such field
    common = Common(fields)
    inner = fields.size_or(4 * common.hidden, "four times hidden_size", "intermediate_size")
    hidden = common.hidden
    matrices = {
        "query_key_value": (3 * hidden, hidden),
        "dense": (hidden, hidden),
        "dense_h_to_4h": (inner, hidden),
        "dense_4h_to_h": (hidden, inner),
    }
    small = 4 * hidden + inner + hidden + (4 * hidden if fields.flag("attention_bias", True) else 0)
    return common.shape(
        fields,
        kind,
        blocks=(Block(count=common.layers, matrices=matrices, inner=inner, small_weights=small),),
        norm="layer",
        parallel=fields.flag("use_parallel_residual", True),
        gated=False,
        fused_qkv=True,
        rotary=_rotary(fields, 0.25, "rotary_pct"),
        composite_gelu=_composite(fields, "gelu"),
        residual_dropout=fields.number("hidden_dropout", 0.0) > 0,
        small_weights=2 * hidden,
    )


def _falcon(fields: Fields, kind: str) -> ModelShape:
    new = fields.flag("new_decoder_architecture", False)
    if not new:
        multi = fields.flag("multi_query", True)
        fields.values["num_kv_heads"] = 1 if multi else fields.values.get("num_attention_heads")
    common = Common(fields)
    hidden = common.hidden
    inner = fields.size_or(4 * hidden, "", "ffn_hidden_size")
    matrices = {
        "query_key_value": (common.q + 2 * common.kv, hidden),
        "dense": (hidden, common.q),
        "dense_h_to_4h": (inner, hidden),
        "dense_4h_to_h": (hidden, inner),
    }
    parallel = new or fields.flag("parallel_attn", True)
    norms = 2 if not parallel or (new and fields.values.get("num_ln_in_parallel_attn") != 1) else 1
    small = norms * 2 * hidden + (sum(o for o, _ in matrices.values()) if fields.flag("bias", False) else 0)
    return common.shape(
        fields,
        kind,
        blocks=(Block(count=common.layers, matrices=matrices, inner=inner, small_weights=small),),
        norm="layer",
        norms=norms,
        parallel=parallel,
        gated=False,
        fused_qkv=True,
        rotary=0.0 if fields.flag("alibi", False) else 1.0,
        residual_dropout=fields.number("hidden_dropout", 0.0) > 0,
        quantizable=False,  # its linear maps are a class of their own, which transformers leaves alone
        tied_head=fields.flag("tie_word_embeddings", True),
        small_weights=2 * hidden,
    )


def _gpt2(fields: Fields, kind: str) -> ModelShape:
    fields.values["num_key_value_heads"] = None
    common = Common(fields)
    hidden = common.hidden
    inner = fields.size_or(4 * hidden, "", "n_inner")
    matrices = {
        "c_attn": (3 * hidden, hidden),
        "attn.c_proj": (hidden, hidden),
        "c_fc": (inner, hidden),
        "mlp.c_proj": (hidden, inner),
    }
    small = 4 * hidden + sum(o for o, _ in matrices.values())
    positions = fields.size_or(1024, "the class's default", "n_positions", "max_position_embeddings")
    return common.shape(
        fields,
        kind,
        blocks=(Block(count=common.layers, matrices=matrices, inner=inner, small_weights=small),),
        norm="layer",
        gated=False,
        fused_qkv=True,
        rotary=0.0,
        tied_head=fields.flag("tie_word_embeddings", True),
        composite_gelu=_composite(fields, "gelu_new"),
        residual_dropout=fields.number("resid_pdrop", 0.1) > 0,
        positions=positions,
        small_weights=2 * hidden + positions * hidden,
    )


def _mixture(fields: Fields, kind: str) -> ModelShape:
    """Mixtral and Qwen3's mixtures of experts."""
    common = Common(fields)
    hidden = common.hidden
    qwen = kind == "qwen3_moe"
    experts = Experts(
        count=fields.size("num_local_experts", "num_experts"),
        active=fields.size("num_experts_per_tok"),
        inner=fields.size("moe_intermediate_size") if qwen else fields.size("intermediate_size"),
    )
    if experts.active > experts.count:
        raise BadConfig(f"config.json: num_experts_per_tok = {experts.active} is more than the {experts.count} experts")
    small = 2 * hidden + (2 * common.head if qwen else 0)
    sparse = Block(
        count=common.layers,
        matrices=_attention(common),
        inner=0,
        small_weights=small + experts.count * hidden,
        experts=experts,
    )
    return common.shape(fields, kind, blocks=(sparse,), qk_norm=qwen)


def _deepseek(fields: Fields, kind: str) -> ModelShape:
    """DeepSeek V2 and V3: latent attention, and experts in all but the first layers."""
    fields.values["head_dim"] = None  # transformers writes the rotated part there
    common = Common(fields)
    hidden, heads = common.hidden, common.heads
    rank, plain, rotated = (
        fields.size("kv_lora_rank"),
        fields.size("qk_nope_head_dim"),
        fields.size("qk_rope_head_dim"),
    )
    value = fields.size("v_head_dim")
    head = plain + rotated
    query_rank = fields.values.get("q_lora_rank")
    small = 2 * hidden + rank
    if query_rank:
        queries: Matrices = {"q_a_proj": (query_rank, hidden), "q_b_proj": (heads * head, query_rank)}
        small += query_rank
    else:
        queries = {"q_proj": (heads * head, hidden)}
    attention = {
        **queries,
        "kv_a_proj_with_mqa": (rank + rotated, hidden),
        "kv_b_proj": (heads * (plain + value), rank),
        "o_proj": (hidden, heads * value),
    }
    inner = fields.size("intermediate_size")
    expert = fields.size("moe_intermediate_size")
    shared = expert * fields.size_or(1, "as in DeepSeek V3", "n_shared_experts")
    experts = Experts(
        count=fields.size("n_routed_experts"),
        active=fields.size_or(8, "as in DeepSeek V3", "num_experts_per_tok"),
        inner=expert,
    )
    first = fields.values.get("first_k_dense_replace")
    dense_layers = min(first if isinstance(first, int) and first >= 0 else 0, common.layers)
    dense = Block(count=dense_layers, matrices=attention | _gated_mlp(hidden, inner), inner=inner, small_weights=small)
    sparse = Block(
        count=common.layers - dense_layers,
        matrices=attention | _gated_mlp(hidden, shared, "shared_experts."),
        inner=shared,
        small_weights=small + experts.count * hidden,
        experts=experts,
    )
    return common.shape(
        fields,
        kind,
        blocks=tuple(block for block in (dense, sparse) if block.count),
        kv_heads=heads,
        head=head,
        value_head=value,
        latent=True,
        rotary=rotated / head,
    )


def _composite(fields: Fields, default: str) -> bool:
    named = fields.values.get("hidden_act") or fields.values.get("activation_function") or default
    return named in {"gelu_new", "gelu_fast", "quick_gelu"}


def _rotary(fields: Fields, default: float, name: str = "partial_rotary_factor") -> float:
    given = fields.values.get("rope_parameters")
    if isinstance(given, Mapping) and isinstance(given.get("partial_rotary_factor"), (int, float)):
        return float(given["partial_rotary_factor"])
    return fields.number(name, default)


FAMILIES: dict[str, Callable[[Fields, str], ModelShape]] = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "smollm3", "granite", "olmo2"), _llama),
    **dict.fromkeys(("gemma", "gemma2", "gemma3_text"), _llama),
    "gemma3": lambda fields, _: _llama(fields, "gemma3_text"),
    "stablelm": _stablelm,
    "phi3": _phi3,
    "phi": _phi,
    "gpt_neox": _gpt_neox,
    "falcon": _falcon,
    "gpt2": _gpt2,
    **dict.fromkeys(("mixtral", "qwen3_moe"), _mixture),
    **dict.fromkeys(("deepseek_v2", "deepseek_v3"), _deepseek),
}
"""`model_type` of config.json -> how its shape is read."""
