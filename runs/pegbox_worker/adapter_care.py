"""What can go wrong between an adapter and the trainer without a word, and is seen to here."""

from __future__ import annotations

from typing import Any

import torch
from accelerate.utils import is_peft_model
from torch import nn


def declare_adapter(model: Any) -> None:
    """Let a packed model train with an adapter that PEFT knows nothing of; Trainer takes that for none and refuses."""
    trains = any(weight.requires_grad for weight in model.parameters())
    if trains and getattr(model, "is_quantized", False) and not is_peft_model(model):
        model._hf_peft_config_loaded = True


def keep_float32(model: nn.Module) -> None:
    """Hold what trains in float32: 16 bits are too coarse to add small updates to.

    In bfloat16 the number after 1 is 1.0078: a factor that begins at 1 can fall by a step of 0.004 and never rise. TRL
    casts the adapters of packed bases to it; a base in 16 bits leaves the weights of norms, embeddings, or of the whole
    model in them, where those are what trains.
    """
    for weight in model.parameters():
        if weight.requires_grad and weight.dtype in (torch.bfloat16, torch.float16):
            weight.data = weight.data.float()
