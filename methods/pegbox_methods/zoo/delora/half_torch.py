"""DeLoRA's torch half."""

from __future__ import annotations

from peft import DeloraConfig
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules


def delora_config(model: nn.Module, recipe: Recipe) -> DeloraConfig:
    """Translate the settings into PEFT's words."""
    settings = recipe.method.settings
    return DeloraConfig(
        task_type="CAUSAL_LM",
        r=settings["rank"],
        delora_lambda=settings["boundary"],
        module_dropout=settings["dropout"],
        target_modules=target_modules(model, settings["targets"]),
    )


half = PeftHalf(delora_config)
