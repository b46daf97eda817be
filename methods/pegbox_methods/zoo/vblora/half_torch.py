"""VB-LoRA's torch half."""

from __future__ import annotations

from peft import VBLoRAConfig
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules
from pegbox_methods.zoo.shared.map_sizes_torch import map_sizes
from pegbox_methods.zoo.vblora.bank import vector_length


def vblora_config(model: nn.Module, recipe: Recipe) -> VBLoRAConfig:
    """Translate the settings into PEFT's words.

    Raises: Refusal: a map's inputs or outputs don't divide into such vectors; more vectors are mixed than there are.
    """
    settings = recipe.method.settings
    targets, mixed, vectors = settings["targets"], settings["topk"], settings["num_vectors"]
    if mixed > vectors:
        raise Refusal(
            f"method.settings.topk = {mixed}: the bank has {vectors} vectors, so no more can be mixed. Take fewer, or "
            "raise method.settings.num_vectors."
        )
    maps = map_sizes(model, targets)
    widths = [width for sizes in maps.values() for width in sizes]
    length = vector_length(settings["vector_length"], widths)
    for name, (d_out, d_in) in maps.items():
        if d_out % length or d_in % length:
            raise Refusal(
                f"method.settings.vector_length = {length}: {name} has {d_in} inputs and {d_out} outputs, and both "
                f"must divide into such vectors. Take {vector_length(0, widths)}, which divides all adapted maps (0 "
                "finds it by itself), or leave that map out of method.settings.targets."
            )
    return VBLoRAConfig(
        task_type="CAUSAL_LM",
        r=settings["rank"],
        num_vectors=vectors,
        vector_length=length,
        topk=mixed,
        vblora_dropout=settings["dropout"],
        target_modules=target_modules(model, targets),
        save_only_topk_weights=False,  # from the top ones alone, no run could be resumed
    )


half = PeftHalf(vblora_config)
