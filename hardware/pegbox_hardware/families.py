"""Which family of models a config.json belongs to, and how its shape is read.

Source: the classes of transformers 5.23 of the same names; a test builds each of them and counts its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pegbox_hardware.expert_families import deepseek, mixture
from pegbox_hardware.gpt_families import falcon, gpt2, gpt_neox, phi, stablelm
from pegbox_hardware.model_fields import BadConfig, Common, Fields, attention_maps, gated_mlp_maps, rotary_share
from pegbox_hardware.shape import Block, ModelShape

EXPERT_FIELDS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
"""What a config of any mixture of experts names one of."""
CAUSAL = ("CausalLM", "LMHead", "ConditionalGeneration")
"""Parts of the class names of models that write."""


def shape_from(config: Mapping[str, Any]) -> ModelShape:
    """Derive the shape from a config's fields.

    Raises: BadConfig: a field that is needed is missing or absurd, or the model doesn't write text.
    """
    fields = Fields(config)
    kind = fields.values.get("model_type")
    known = isinstance(kind, str) and kind in FAMILIES
    if not known:
        _refuse_other_tasks(config)
    if isinstance(config.get("vision_config"), Mapping) or isinstance(config.get("audio_config"), Mapping):
        fields.assumed.append("only the language part is counted; the model has eyes or ears beside it")
    stored = config.get("quantization_config")
    if isinstance(stored, Mapping):
        how = stored.get("quant_method", "an unknown method")
        fields.assumed.append(f"the weights are stored quantized ({str(how)[:40]}); they are priced as if they weren't")
    if known:
        return FAMILIES[str(kind)](fields, str(kind))
    return _unknown(fields, str(kind or "unknown"))


def _refuse_other_tasks(config: Mapping[str, Any]) -> None:
    """Refuse a model of an unknown type that says it is for something else than writing.

    Raises: BadConfig.
    """
    named = config.get("architectures")
    if isinstance(named, list) and named and not any(part in str(name) for name in named for part in CAUSAL):
        raise BadConfig(f"config.json: architectures = {str(named)[:80]}: expected a causal language model")


def _unknown(fields: Fields, kind: str) -> ModelShape:
    """Read a type nobody has taken apart by the fields that its config shares with others."""
    said = "model_type is missing" if kind == "unknown" else f"model_type {kind!r} is not known"
    if any(isinstance(fields.values.get(name), int) and fields.values[name] > 1 for name in EXPERT_FIELDS):
        fields.assumed.append(f"{said}; read as a mixture like Mixtral, whose experts may be narrower or wider")
        build = mixture
    else:
        fields.assumed.append(f"{said}; read as a Llama-like model")
        # `gated_mlp` is how configs of other tools than transformers say that there are two maps, not three.
        build = llama if fields.flag("gated_mlp", True) else gpt_neox
    return msgspec.structs.replace(build(fields, kind), known=False)


def llama(fields: Fields, kind: str) -> ModelShape:
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
    matrices = attention_maps(common) | gated_mlp_maps(hidden, inner)
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


GEMMA3 = {"vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256}
"""What Gemma 3's configs leave out. Source: Gemma3TextConfig of transformers 5.23."""


def gemma3(fields: Fields, _kind: str) -> ModelShape:
    """Read Gemma 3's text part, alone or inside the model that sees."""
    for name, default in GEMMA3.items():
        if fields.values.get(name) is None:
            fields.values[name] = default
    return llama(fields, "gemma3_text")


def phi3(fields: Fields, kind: str) -> ModelShape:
    """Read Phi 3 and 4: Llama with fused maps."""
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
        rotary=rotary_share(fields, 1.0),
    )


FAMILIES: dict[str, Callable[[Fields, str], ModelShape]] = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "smollm3", "granite", "olmo2"), llama),
    **dict.fromkeys(("gemma", "gemma2"), llama),
    "gemma3": gemma3,
    "gemma3_text": gemma3,
    "stablelm": stablelm,
    "phi3": phi3,
    "phi": phi,
    "gpt_neox": gpt_neox,
    "falcon": falcon,
    **dict.fromkeys(("gpt2", "openai-gpt"), gpt2),
    **dict.fromkeys(("mixtral", "qwen3_moe"), mixture),
    **dict.fromkeys(("deepseek_v2", "deepseek_v3"), deepseek),
}
"""`model_type` of config.json -> how its shape is read."""
