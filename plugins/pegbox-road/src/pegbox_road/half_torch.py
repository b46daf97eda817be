"""RoAd's torch half: a config of PEFT's, and what PEFT's layers need on a packed base."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import RoadConfig
from peft.tuners.road import RoadLayer
from pegbox_methods import Refusal
from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf, adapted_maps, is_quantized, target_modules
from torch import Tensor, nn


@dataclass(frozen=True)
class RoadHalf(PeftHalf):
    """PEFT's RoAd, whose stretches begin at one, and whose maps on a packed base answer in the input's format."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model.

        Raises: Refusal: a target isn't in the model; the group size is odd, or doesn't divide a map's outputs.
        """
        attached = super().attach(model, recipe)
        _answer_as_asked(attached.model)
        return attached

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put the saved adapter on a base model."""
        loaded = super().load(model, folder)
        _answer_as_asked(loaded)
        return loaded


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


def _answer_as_asked(model: nn.Module) -> None:
    """Undo PEFT's cast to float32, which meets 16 bits in the next map where there is no autocast (PEFT 0.21.2,
    tuners/road/bnb.py casts the input back in place of the result).
    """
    if is_quantized(model):
        for part in model.modules():
            if isinstance(part, RoadLayer):
                part.register_forward_hook(_in_the_format_of_the_input)


def _in_the_format_of_the_input(_part: nn.Module, given: tuple[Tensor, ...], result: Any) -> Any:
    return result.to(given[0].dtype)


half = RoadHalf(road_config)
