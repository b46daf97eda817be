"""P-tuning's torch half."""

from __future__ import annotations

from peft import PromptEncoderConfig
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.zoo.prompt_tuning.half_torch import VirtualTokensHalf


def p_tuning_config(_model: nn.Module, recipe: Recipe) -> PromptEncoderConfig:
    """Translate the settings into PEFT's words."""
    settings = recipe.method.settings
    return PromptEncoderConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=settings["virtual_tokens"],
        encoder_reparameterization_type=settings["encoder"].upper(),
        encoder_hidden_size=settings["encoder_width"],
    )


half = VirtualTokensHalf(p_tuning_config)
