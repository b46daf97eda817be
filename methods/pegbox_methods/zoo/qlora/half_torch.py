"""QLoRA's torch half: LoRA's, on a base model that the worker has packed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf, is_quantized, lora_config


@dataclass(frozen=True)
class QuantizedHalf(PeftHalf):
    """LoRA that trains on a packed base only; its adapter loads on, and merges into, the full-precision base too."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the packed model.

        Raises: Refusal: the model isn't packed, which would be LoRA by another name; a target isn't in it.
        """
        if not is_quantized(model):
            raise Refusal('the method "qlora" trains on a 4-bit base model, and this one is in full precision.')
        return super().attach(model, recipe)


half = QuantizedHalf(lora_config)
