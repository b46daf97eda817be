"""Shapes against the classes of transformers that they stand for, built without numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from pegbox_hardware.families import FAMILIES
from pegbox_hardware.model_config import shape_of

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "llama": [{"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 8, "tie_word_embeddings": True}],
    "qwen3": [{"attention_bias": True}],
    "stablelm": [{"use_qkv_bias": True, "qk_layernorm": True}, {"use_parallel_residual": True}],
    "gpt_neox": [{"attention_bias": False}],
    "falcon": [
        {"new_decoder_architecture": True, "num_kv_heads": 8, "hidden_size": 4096, "num_attention_heads": 64},
        {"multi_query": False, "parallel_attn": False, "bias": True, "hidden_size": 2048, "num_attention_heads": 32},
    ],
    "deepseek_v2": [{"num_experts_per_tok": 6}],
    "deepseek_v3": [{"first_k_dense_replace": 1, "q_lora_rank": None}],
}
CASES = [(kind, changes) for kind in FAMILIES for changes in [{}, *VARIANTS.get(kind, [])]]


@pytest.mark.parametrize(("kind", "changes"), CASES)
def test_a_familys_shape_counts_the_weights_its_class_has(kind: str, changes: dict[str, Any]) -> None:
    config = AutoConfig.for_model(kind, **changes)
    text = config.get_text_config()
    for name in ("num_hidden_layers", "n_layer"):
        if hasattr(text, name):
            setattr(text, name, 3)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(text)
    shape, why = shape_of(config.to_dict())
    assert shape is not None, why
    assert shape.weights == sum(weight.numel() for weight in model.parameters())
    linear = {name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear) and ".layers." in name}
    for name in linear:
        assert any(name.endswith(f".{known}") for known in shape.matrices), name
