"""OFT's torch half."""

from __future__ import annotations

from peft import OFTConfig
from torch import nn

from pegbox_hardware.shape import ends_like
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.zoo.oft.blocks import refuse_uneven
from pegbox_methods.zoo.shared.half_torch import PeftHalf, linear_names, target_modules
from pegbox_methods.zoo.shared.map_sizes_torch import map_sizes

LATENT = "kv_b_proj"
"""Makes keys and values out of DeepSeek's one vector a token; it is asked with rows, heads, positions, numbers."""


def oft_config(model: nn.Module, recipe: Recipe) -> OFTConfig:
    """Translate the settings into PEFT's words.

    Raises: Refusal: a map's inputs don't divide into such blocks, and PEFT would take others for it; it would take
    the inputs of a map for images.
    """
    settings = recipe.method.settings
    size, targets = settings["block_size"], settings["targets"]
    widths = {name: d_in for name, (_, d_in) in map_sizes(model, targets).items()}
    if any(ends_like(name, LATENT) for name in widths):
        others = ", ".join(name for name in linear_names(model) if name != LATENT)
        raise Refusal(
            f"method.settings.targets: the inputs of {LATENT} have four dimensions, and PEFT's OFT takes such for "
            f"images; name the model's other linear maps instead: {others}."
        )
    refuse_uneven(widths, size)
    return OFTConfig(
        task_type="CAUSAL_LM",
        r=0,  # blocks are given by their size
        oft_block_size=size,
        target_modules=target_modules(model, targets),
    )


half = PeftHalf(oft_config)
