"""Loading the base model and its tokenizer from files that can't run code."""

from __future__ import annotations

import importlib
import math
import os
import sys
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from peft.import_utils import is_bnb_4bit_available, is_bnb_available
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils import is_bitsandbytes_available

from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_runs.models import SMALL_FILES, FoundModel, find_model

LEAST_PACKED = 0.5
"""Share of the weights, without embeddings and head, that must fit into 4 bits for it to be worth while."""


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
    return _load(found, dtype=dtype).to(device)


def load_packed_model(
    found: FoundModel, weights: torch.dtype, compute: torch.dtype, device: torch.device, *, shards: bool = False
) -> nn.Module:
    """Load the base model with its linear maps packed in NF4, doubly quantized; embeddings, norms and head stay in
    `weights`. The maps compute in `compute`. Needs bitsandbytes: see `admit_bitsandbytes`.

    `shards`: whether the packed numbers are to be parted among processes. FSDP2 parts none that aren't of a floating
    type, so their bytes lie in numbers of `compute`, which nobody computes with. It casts what it gathers to that type:
    out of any other they would come as other bytes, without a word.

    Raises: Refusal: transformers has no such model; it has no linear maps that hold most of its weights.
    """
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
        **({"bnb_4bit_quant_storage": compute} if shards else {}),
    )
    model = _load(found, dtype=weights, quantization_config=quantization, device_map={"": device})
    _refuse_unpacked(found, model)
    for part in model.modules():
        # With this flag a CPU repacks the weights at the first evaluation, for a kernel that has no backward pass:
        # from then on the gradient of all earlier layers is cut off without a word (bitsandbytes 0.50).
        if hasattr(part, "support_avx512bf16_for_cpu"):
            part.support_avx512bf16_for_cpu = False
    return model


def admit_bitsandbytes() -> None:
    """Let the library in that the worker kept out while it warmed up, and make PEFT and transformers look again.

    Raises: Refusal: it isn't installed, or can't be loaded.
    """
    if sys.modules.get("bitsandbytes", sys) is None:
        del sys.modules["bitsandbytes"]
    for looked_for in (is_bnb_available, is_bnb_4bit_available, is_bitsandbytes_available):
        looked_for.cache_clear()
    try:
        importlib.import_module("bitsandbytes")
    except Exception as error:
        raise Refusal(
            f"bitsandbytes can't be loaded ({error}), and 4-bit bases and 8-bit optimizers need it. Mend it with: "
            "pip install --force-reinstall 'bitsandbytes>=0.50'"
        ) from error


def weights_in(weight: torch.Tensor) -> int:
    """Count the weights of one parameter; a packed one holds two in a byte, and knows its real shape."""
    packed = getattr(weight, "quant_state", None)
    return weight.numel() if packed is None else math.prod(packed.shape)


def _load(found: FoundModel, **arguments: Any) -> Any:
    try:
        model = AutoModelForCausalLM.from_pretrained(
            found.folder, trust_remote_code=False, use_safetensors=True, local_files_only=True, **arguments
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
    return model


def _refuse_unpacked(found: FoundModel, model: Any) -> None:
    """Refuse a model that packing hardly makes smaller: transformers packs linear maps, and stacked experts are none.

    Raises: Refusal.
    """
    whole = [id(part.weight) for part in (model.get_input_embeddings(), model.get_output_embeddings()) if part]
    counted = [(weights_in(w), hasattr(w, "quant_state")) for w in model.parameters() if id(w) not in whole]
    share = sum(count for count, packed in counted if packed) / max(sum(count for count, _ in counted), 1)
    if share < LEAST_PACKED:
        raise Refusal(
            f"{found.name}: only {100 * share:.0f} % of its weights (type {found.config.get('model_type')!r}) lie in "
            'linear maps, which alone can be packed into 4 bits. Take the method "lora", or another model.'
        )


def end_tokens(model: Any) -> frozenset[int]:
    """List the tokens that end an answer by the model's own word, beside the tokenizer's end token."""
    ends = model.generation_config.eos_token_id
    return frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])


def vocabulary_of(model: Any) -> int | None:
    """Count the tokens that a model tells apart, by its config; None: it doesn't say."""
    config: Any = getattr(model, "config", None)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    size = getattr(text, "vocab_size", None)
    return size if isinstance(size, int) else None


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
