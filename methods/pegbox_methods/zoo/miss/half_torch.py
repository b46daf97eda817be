"""MiSS's torch half."""

from __future__ import annotations

from peft import MissConfig
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules
from pegbox_methods.zoo.shared.map_sizes_torch import map_sizes


def miss_config(model: nn.Module, recipe: Recipe) -> MissConfig:
    """Translate the settings into PEFT's words.

    Raises: Refusal: a map has fewer inputs than a block shall hold.
    """
    settings = recipe.method.settings
    rank, targets = settings["rank"], settings["targets"]
    for name, (_, d_in) in map_sizes(model, targets).items():
        if rank > d_in:
            raise Refusal(
                f"method.settings.rank = {rank}: {name} has {d_in} inputs; take {d_in} at most, or leave it out of "
                "method.settings.targets."
            )
    return MissConfig(
        task_type="CAUSAL_LM",
        r=rank,
        miss_dropout=settings["dropout"],
        target_modules=target_modules(model, targets),
    )


half = PeftHalf(miss_config)
