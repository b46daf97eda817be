"""LoRA's torch half."""

from __future__ import annotations

from peft import LoraConfig
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.zoo.lora.card import ATTENTION
from pegbox_methods.zoo.shared.half_torch import PeftHalf


def lora_config(_model: nn.Module, recipe: Recipe) -> LoraConfig:
    """Translate the settings into PEFT's words."""
    settings = recipe.method.settings
    targets = settings["targets"]
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings["rank"],
        lora_alpha=settings["alpha"],
        lora_dropout=settings["dropout"],
        target_modules=list(ATTENTION) if targets == "attention" else targets,
    )


half = PeftHalf(lora_config)
