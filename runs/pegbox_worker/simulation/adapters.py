"""The trained part of a simulated model: PEFT's own layers by a set-up's method, or by PEFT's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pegbox_hardware.forecast.setup import TrainingSetup, first_rank
from pegbox_worker.simulation.unsupported import CannotSimulate

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
LORA_LIKE = {"lora", "rslora", "qlora", "dora", "qdora"}
STEPS = 1000
"""AdaLoRA wants the run's length; memory doesn't depend on it."""


def attach(model: Any, setup: TrainingSetup, peft_config: Mapping[str, Any] | None) -> Any:
    """Wrap the model in the adapter; full fine-tuning leaves it as it is.

    Raises: CannotSimulate: no such method.
    """
    if setup.method == "full" and peft_config is None:
        return model
    from peft import get_peft_model

    config = _config_of(peft_config) if peft_config is not None else _config(model, setup)
    attached = get_peft_model(model, config)
    if setup.adapter_dtype != "fp32":  # PEFT itself makes adapters of a 16-bit base fp32
        _cast(attached, DTYPES[setup.adapter_dtype])
    return attached


def _config(model: Any, setup: TrainingSetup) -> Any:
    from peft import AdaLoraConfig, LoraConfig

    shared = {"task_type": "CAUSAL_LM", "target_modules": _targets(model, setup), "lora_dropout": setup.dropout}
    if setup.method == "adalora":
        return AdaLoraConfig(
            init_r=first_rank(setup.rank, setup.surplus),
            target_r=setup.rank,
            lora_alpha=2 * setup.rank,
            total_step=STEPS,
            **shared,
        )
    if setup.method in LORA_LIKE:
        return LoraConfig(
            r=setup.rank,
            lora_alpha=2 * setup.rank,
            use_dora=setup.method.endswith("dora"),
            use_rslora=setup.method == "rslora",
            **shared,
        )
    raise CannotSimulate(
        f"the method {setup.method!r} has no simulation by its name; "
        f"{', '.join(sorted(LORA_LIKE))}, adalora and full have one."
    )


def _targets(model: Any, setup: TrainingSetup) -> Any:
    targets = setup.targets
    experts = any(part.startswith("experts") for name, _ in model.named_parameters() for part in name.split("."))
    if targets == ("all-linear",) and not experts:
        return "all-linear"
    if targets not in (("all-linear",), ("attention",)):
        return list(targets)
    paths = [name.split(".") for name, part in model.named_modules() if hasattr(part, "weight") and _is_linear(part)]
    named = {".".join(path[-2:]): None for path in paths if len(path) > 1 and "att" in path[-2]}
    return list(named)


def _is_linear(part: nn.Module) -> bool:
    """Tell linear maps, 4-bit ones and GPT-2's Conv1D from norms and embeddings."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(part, nn.Linear | Conv1D)


def _config_of(words: Mapping[str, Any]) -> Any:
    from peft import get_peft_config

    kept = {key: value for key, value in words.items() if value is not None and key != "peft_version"}
    kept.setdefault("task_type", "CAUSAL_LM")
    try:
        return get_peft_config(kept)
    except (KeyError, TypeError, ValueError) as error:
        raise CannotSimulate(f"PEFT doesn't take this config: {error}") from error


def _cast(model: Any, dtype: torch.dtype) -> None:
    """Give the adapter its format, as TRL does for quantized bases: DoRA's magnitudes stay as they are."""
    for name, weight in model.named_parameters():
        if weight.requires_grad and "lora_magnitude_vector" not in name:
            weight.data = weight.data.to(dtype)
