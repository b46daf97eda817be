"""LoHa's torch half."""

from __future__ import annotations

from peft import LoHaConfig
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules


def loha_config(model: nn.Module, recipe: Recipe) -> LoHaConfig:
    """Translate the settings into PEFT's words."""
    settings = recipe.method.settings
    return LoHaConfig(
        task_type="CAUSAL_LM",
        r=settings["rank"],
        alpha=settings["alpha"],
        rank_dropout=settings["rank_dropout"],
        target_modules=target_modules(model, settings["targets"]),
    )


half = PeftHalf(loha_config)
