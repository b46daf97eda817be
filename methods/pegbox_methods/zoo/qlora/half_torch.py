"""QLoRA's torch half: LoRA's, on a base model that the worker has packed."""

from __future__ import annotations

from dataclasses import dataclass

from peft import prepare_model_for_kbit_training
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf, is_quantized, lora_config


@dataclass(frozen=True)
class QuantizedHalf(PeftHalf):
    """LoRA that trains on a packed base only; its adapter loads on, and merges into, the full-precision base too."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Prepare the packed model and wrap it.

        PEFT freezes the base either way; TRL lets the inputs require gradients where activations are recomputed.
        Raises: Refusal: the model isn't packed, which would be LoRA by another name; a target isn't in it.
        """
        if not is_quantized(model):
            raise Refusal(
                f'the method "{recipe.method.name}" trains on a 4-bit base model, and this one is in full precision.'
            )
        if recipe.method.settings["preparation"] == "full":
            prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        return super().attach(model, recipe)


half = QuantizedHalf(lora_config)
