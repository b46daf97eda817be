"""DeLoRA's torch half."""

from __future__ import annotations

from peft import DeloraConfig
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.zoo.delora.bound import boundary_for
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules
from pegbox_methods.zoo.shared.map_sizes_torch import map_sizes


def delora_config(model: nn.Module, recipe: Recipe) -> DeloraConfig:
    """Translate the settings into PEFT's words."""
    settings = recipe.method.settings
    rank, targets = settings["rank"], settings["targets"]
    inputs = [d_in for _, d_in in map_sizes(model, targets).values()]
    return DeloraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        delora_lambda=settings["boundary"] or boundary_for(rank, inputs),
        module_dropout=settings["dropout"],
        target_modules=target_modules(model, targets),
    )


half = PeftHalf(delora_config)
