"""GraLoRA's torch half."""

from __future__ import annotations

from peft import GraloraConfig
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules
from pegbox_methods.zoo.shared.map_sizes_torch import map_sizes


def gralora_config(model: nn.Module, recipe: Recipe) -> GraloraConfig:
    """Translate the settings into PEFT's words.

    Raises: Refusal: the rank or a map doesn't divide into so many blocks.
    """
    settings = recipe.method.settings
    rank, count, targets = settings["rank"], settings["subblocks"], settings["targets"]
    if rank % count:
        raise Refusal(
            f"method.settings.subblocks = {count}: a rank of {rank} doesn't divide by it. Take a multiple of {count} "
            "as method.settings.rank, or another number of blocks."
        )
    for name, (d_out, d_in) in map_sizes(model, targets).items():
        if d_out % count or d_in % count:
            raise Refusal(
                f"method.settings.subblocks = {count}: {name} has {d_in} inputs and {d_out} outputs, and both must "
                "divide by it. Take another number of blocks, or leave that map out of method.settings.targets."
            )
    return GraloraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        hybrid_r=settings["hybrid_rank"],
        alpha=settings["alpha"],
        gralora_dropout=settings["dropout"],
        gralora_k=count,
        target_modules=target_modules(model, targets),
    )


half = PeftHalf(gralora_config)
