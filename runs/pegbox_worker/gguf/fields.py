"""What a GGUF file says of a model beside its weights: sizes, tokens, template. Source: llama.cpp, conversion/*.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGUFValueType, Keys, LlamaFileType, RopeScalingType
from transformers import AutoConfig

from pegbox_methods.refusal import Refusal
from pegbox_runs.exporting.gguf_architectures import ARCHITECTURES, cannot_write, rope_of
from pegbox_worker.gguf.vocabulary import Vocabulary

QUANTIZATION_VERSION = 2
"""Of ggml's number formats. Source: GGML_QNT_VERSION in ggml.h."""
FILE_TYPES: Mapping[str, LlamaFileType] = {
    "f32": LlamaFileType.ALL_F32,
    **{
        name: LlamaFileType[f"MOSTLY_{name.upper()}"]
        for name in ("f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
    },
}


class Field(NamedTuple):
    """One entry of a file's head."""

    value: Any
    kind: GGUFValueType


Fields = Mapping[str, Field]


def fields_of(config: Mapping[str, Any], vocabulary: Vocabulary, *, name: str, quant: str) -> dict[str, Field]:
    """List all of a file's entries, by key. `config`: the model's, of a type that `ARCHITECTURES` has."""
    whole = {
        Keys.General.TYPE: "model",
        Keys.General.NAME: name,
        Keys.General.FILE_TYPE: int(FILE_TYPES[quant]),
        Keys.General.QUANTIZATION_VERSION: QUANTIZATION_VERSION,
        **_sizes(config),
        **_rope(config),
        **_tokens(vocabulary),
    }
    arch = architecture(config)
    return {key.format(arch=arch): Field(value, _kind(value)) for key, value in whole.items() if value is not None}


def config_of(model: Path) -> dict[str, Any]:
    """Read a model folder's config, with what it leaves to its type's defaults. Raises: Refusal: GGUF can't say it."""
    config: dict[str, Any] = AutoConfig.from_pretrained(model, local_files_only=True, trust_remote_code=False).to_dict()
    why = cannot_write(config)
    if why is not None:
        raise Refusal(f"{model}: can't be written as GGUF: {why}.")
    return config


def architecture(config: Mapping[str, Any]) -> str:
    """Give GGUF's name of a model's architecture."""
    return ARCHITECTURES[config["model_type"]]


def architecture_number(config: Mapping[str, Any]) -> MODEL_ARCH:
    """Give the number by which the `gguf` package knows an architecture."""
    name = architecture(config)
    return next(number for number, known in MODEL_ARCH_NAMES.items() if known == name)


def head_width(config: Mapping[str, Any]) -> int:
    """Give the width of one attention head."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def kv_heads(config: Mapping[str, Any]) -> int:
    """Count the heads of keys and values."""
    return int(config.get("num_key_value_heads") or config["num_attention_heads"])


def _sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        Keys.LLM.VOCAB_SIZE: config["vocab_size"],
        Keys.LLM.CONTEXT_LENGTH: config["max_position_embeddings"],
        Keys.LLM.EMBEDDING_LENGTH: config["hidden_size"],
        Keys.LLM.BLOCK_COUNT: config["num_hidden_layers"],
        Keys.LLM.FEED_FORWARD_LENGTH: config["intermediate_size"],
        Keys.Attention.HEAD_COUNT: config["num_attention_heads"],
        Keys.Attention.HEAD_COUNT_KV: kv_heads(config),
        Keys.Attention.LAYERNORM_RMS_EPS: float(config["rms_norm_eps"]),
        Keys.Attention.KEY_LENGTH: head_width(config),
        Keys.Attention.VALUE_LENGTH: head_width(config),
    }


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Llama 3's scaling isn't among them: it goes into the file as a tensor."""
    rope = rope_of(config)
    found: dict[str, Any] = {Keys.Rope.DIMENSION_COUNT: head_width(config), Keys.Rope.FREQ_BASE: rope.theta}
    if rope.kind == "linear":
        found |= {Keys.Rope.SCALING_TYPE: RopeScalingType.LINEAR.value, Keys.Rope.SCALING_FACTOR: _factor(rope.table)}
    return found


def _factor(table: Mapping[str, Any]) -> float:
    return float(table["factor"])


def _tokens(vocabulary: Vocabulary) -> dict[str, Any]:
    special = vocabulary.special
    return {
        Keys.Tokenizer.MODEL: "gpt2",  # byte-level BPE, of whatever model
        Keys.Tokenizer.PRE: vocabulary.cut.name,
        Keys.Tokenizer.LIST: vocabulary.tokens,
        Keys.Tokenizer.TOKEN_TYPE: [int(kind) for kind in vocabulary.kinds],
        Keys.Tokenizer.MERGES: vocabulary.merges or None,
        Keys.Tokenizer.BOS_ID: special.begin,
        Keys.Tokenizer.EOS_ID: special.end,
        Keys.Tokenizer.EOT_ID: special.end_of_turn,
        Keys.Tokenizer.UNK_ID: special.unknown,
        Keys.Tokenizer.PAD_ID: special.padding,
        Keys.Tokenizer.ADD_BOS: vocabulary.adds_begin,
        Keys.Tokenizer.ADD_EOS: vocabulary.adds_end,
        Keys.Tokenizer.CHAT_TEMPLATE: vocabulary.template,
    }


def _kind(value: Any) -> GGUFValueType:
    if isinstance(value, bool):
        return GGUFValueType.BOOL
    if isinstance(value, int):
        return GGUFValueType.UINT32
    if isinstance(value, float):
        return GGUFValueType.FLOAT32
    if isinstance(value, str):
        return GGUFValueType.STRING
    if isinstance(value, Sequence):
        return GGUFValueType.ARRAY
    raise TypeError(f"no field holds a {type(value).__name__}")
