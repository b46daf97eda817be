"""Tiny random models of several families in folders of their own, with the bundled tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, PreTrainedConfig, Qwen2Config, Qwen3Config

from pegbox_runs.models import BUNDLED

SIZES: dict[str, Any] = {
    "vocab_size": 3072,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
CONFIGS: dict[str, PreTrainedConfig] = {
    "llama with tied head": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama with its own head": LlamaConfig(**SIZES, tie_word_embeddings=False),
    "llama with wide heads": LlamaConfig(**SIZES, head_dim=32),
    "llama 3's rope": LlamaConfig(**SIZES, rope_parameters=LLAMA3),
    "linear rope": LlamaConfig(**SIZES, rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}),
    "mistral": MistralConfig(**SIZES, sliding_window=None),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=32, tie_word_embeddings=True),
}


def tiny_model(folder: Path, config: PreTrainedConfig) -> Path:
    """Write one, with weights that make positions and every matrix matter."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 1:
                weight += 0.3 * torch.randn_like(weight)
            elif "proj" in name:
                weight.copy_(0.3 * torch.randn_like(weight))
    model.save_pretrained(folder)
    for file in (BUNDLED / "model").iterdir():
        if file.name.startswith(("tokenizer", "chat")):
            shutil.copy(file, folder)
    return folder
