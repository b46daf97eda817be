"""VeRA's torch half."""

from __future__ import annotations

from peft import VeraConfig
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules


def vera_config(model: nn.Module, recipe: Recipe) -> VeraConfig:
    """Translate the settings into PEFT's words."""
    settings = recipe.method.settings
    return VeraConfig(
        task_type="CAUSAL_LM",
        r=settings["rank"],
        d_initial=settings["d_initial"],
        vera_dropout=settings["dropout"],
        target_modules=target_modules(model, settings["targets"]),
        projection_prng_key=recipe.seeds.training,
        # Another version of torch may draw other numbers from the same key, so the pair goes into the file.
        save_projection=True,
    )


half = PeftHalf(vera_config)
