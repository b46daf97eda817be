"""Loading the base model and its tokenizer from files that can't run code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_runs.models import SMALL_FILES, FoundModel, find_model


def fetch(model: Model) -> FoundModel:
    """Find the model, and download its weights if they aren't here yet.

    Raises: Refusal.
    """
    found = find_model(model)
    if not found.complete:
        snapshot_download(model.name, revision=model.revision, allow_patterns=[*SMALL_FILES, *found.weight_files])
        found = find_model(model)
    if not found.complete:
        raise Refusal(
            f"{found.name}: lacks {', '.join(found.weight_files[:3])}. Pegbox reads weights from safetensors alone; "
            "load the model once with transformers where you trust it, save it with save_pretrained(), and name that "
            "folder."
        )
    # All is here now. PEFT would ask the Hub about the base model at every checkpoint.
    os.environ["HF_HUB_OFFLINE"] = "1"
    return found


def load_model(found: FoundModel, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """Load the base model, frozen in nothing yet, on its device.

    Raises: Refusal: transformers has no causal language model of that type.
    """
    try:
        model = AutoModelForCausalLM.from_pretrained(
            found.folder, dtype=dtype, trust_remote_code=False, use_safetensors=True, local_files_only=True
        )
    except ValueError as error:
        if "trust_remote_code" in str(error) or "Unrecognized" in str(error):
            raise Refusal(
                f"{found.name}: transformers doesn't know the model type {found.config.get('model_type')!r}, and "
                "Pegbox runs no code that comes with a model. Take a model of a known type."
            ) from error
        raise
    # PEFT writes this name into the adapter's config: a Hub id shall stay one, not become a cache's folder.
    model.name_or_path = model.config._name_or_path = found.reference
    return model.to(device)


def end_tokens(model: Any) -> frozenset[int]:
    """List the tokens that end an answer by the model's own word, beside the tokenizer's end token."""
    ends = model.generation_config.eos_token_id
    return frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])


def load_tokenizer(found: FoundModel, model: Model) -> Any:
    """Load the tokenizer, with the recipe's chat template if it names one.

    Raises: Refusal: it is of a kind that can't tell which characters a token stands for, or has no end token.
    """
    tokenizer = AutoTokenizer.from_pretrained(found.folder, trust_remote_code=False, local_files_only=True)
    if not tokenizer.is_fast:
        raise Refusal(
            f"{found.name}: its tokenizer has no tokenizer.json, which is needed to tell trained tokens from context. "
            "Convert it with transformers' AutoTokenizer(...).save_pretrained()."
        )
    if tokenizer.eos_token_id is None:
        raise Refusal(f"{found.name}: its tokenizer has no end-of-sequence token, so no answer could end.")
    if model.chat_template is not None:
        tokenizer.chat_template = Path(model.chat_template).expanduser().read_text(encoding="utf-8")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token  # labels are made before padding, so EOS keeps its own
    return tokenizer
