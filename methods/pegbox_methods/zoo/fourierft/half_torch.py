"""FourierFT's torch half."""

from __future__ import annotations

from peft import FourierFTConfig
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.zoo.fourierft.scale import scaling_for
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules
from pegbox_methods.zoo.shared.map_sizes_torch import map_sizes


def fourierft_config(model: nn.Module, recipe: Recipe) -> FourierFTConfig:
    """Translate the settings into PEFT's words.

    Raises: Refusal: a map has fewer weights than waves.
    """
    settings = recipe.method.settings
    waves, targets = settings["frequencies"], settings["targets"]
    weights = {name: d_out * d_in for name, (d_out, d_in) in map_sizes(model, targets).items()}
    smallest = min(weights, key=lambda name: weights[name])
    if waves > weights[smallest]:
        raise Refusal(
            f"method.settings.frequencies = {waves}: {smallest} has {weights[smallest]} weights, and takes no more "
            "waves than that. Take fewer, or leave that map out of method.settings.targets."
        )
    return FourierFTConfig(
        task_type="CAUSAL_LM",
        n_frequency=waves,
        scaling=settings["scaling"] or scaling_for(list(weights.values())),
        random_loc_seed=recipe.seeds.training,
        target_modules=target_modules(model, targets),
        init_weights=True,  # PEFT's word for waves of height zero, so that the run begins at the base model
    )


half = PeftHalf(fourierft_config)
