"""LoKr's torch half."""

from __future__ import annotations

from peft import LoKrConfig
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules


def lokr_config(model: nn.Module, recipe: Recipe) -> LoKrConfig:
    """Translate the settings into PEFT's words."""
    settings = recipe.method.settings
    return LoKrConfig(
        task_type="CAUSAL_LM",
        r=settings["rank"],
        alpha=settings["alpha"],
        decompose_factor=settings["decompose_factor"],
        decompose_both=settings["decompose_both"],
        rank_dropout=settings["rank_dropout"],
        rank_dropout_scale=True,  # else an evaluation would see larger updates than the training
        target_modules=target_modules(model, settings["targets"]),
    )


half = PeftHalf(lokr_config)
