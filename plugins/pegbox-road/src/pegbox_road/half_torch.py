"""RoAd's torch half: a config of PEFT's, and a refusal that says more than PEFT's."""

from __future__ import annotations

import math

from peft import RoadConfig
from pegbox_methods import Refusal
from pegbox_methods.recipe import Recipe
from pegbox_methods.zoo.shared.half_torch import PeftHalf, adapted_maps, target_modules
from torch import nn


def road_config(model: nn.Module, recipe: Recipe) -> RoadConfig:
    """Translate the settings into PEFT's words.

    Raises: Refusal: a target isn't in the model; the group size is odd, or doesn't divide a map's outputs.
    """
    settings = recipe.method.settings
    group, targets = settings["group_size"], settings["targets"]
    outputs = {path: linear.out_features for path, linear in adapted_maps(model, targets).items()}
    uneven = {path: count for path, count in outputs.items() if group % 2 or count % group}
    if uneven:
        path, count = next(iter(uneven.items()))
        raise Refusal(
            f"method.settings.group_size = {group}: expected an even number that divides the outputs of every map, "
            f"and {path} has {count}. The largest that divides all of them is {math.gcd(*outputs.values())}."
        )
    return RoadConfig(
        task_type="CAUSAL_LM",
        variant=settings["variant"],
        group_size=group,
        target_modules=target_modules(model, targets),
    )


half = PeftHalf(road_config)
