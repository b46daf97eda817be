"""SHiRA's torch half."""

from __future__ import annotations

from peft import ShiraConfig
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.zoo.shared.adapted_maps import adapted_maps
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules


def shira_config(model: nn.Module, recipe: Recipe) -> ShiraConfig:
    """Translate the settings into PEFT's words.

    Raises: Refusal: a map has fewer weights than shall be trained.
    """
    settings = recipe.method.settings
    rank, targets = settings["rank"], settings["targets"]
    for name, (d_out, d_in) in adapted_maps(model, targets).items():
        most = d_out * d_in // (d_out + d_in)
        if rank > most:
            raise Refusal(
                f"method.settings.rank = {rank}: {name} maps {d_in} numbers to {d_out} and has fewer weights than "
                f"{rank} x ({d_out} + {d_in}); take {most} at most, or leave it out of method.settings.targets."
            )
    return ShiraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        random_seed=recipe.seeds.training,
        target_modules=target_modules(model, targets),
    )


half = PeftHalf(shira_config)
