"""Full fine-tuning's torch half: no adapter, but the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import is_quantized


class FullHalf:
    """Trains, saves and loads a whole model, as transformers does it."""

    def attach(self, model: nn.Module, _recipe: Recipe) -> Attached:
        """Let every weight learn, in float32: a step of 2e-5 is rounded away in any 16-bit format.

        Raises: Refusal: the model is packed.
        """
        _refuse_packed(model, "trains")
        for weight in model.parameters():
            weight.data = weight.data.float()
            weight.requires_grad_(True)
        return Attached(model=model)

    def save(self, attached: Attached, folder: Path) -> None:
        """Write the model as safetensors, with its config; a folder that transformers loads by itself."""
        cast(Any, attached.model).save_pretrained(str(folder))

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Give the base model the saved weights, in the format that it is in.

        They come by way of a second model: transformers stores some types under other names than it computes with.
        Raises: Refusal: the model is packed.
        """
        _refuse_packed(model, "loads")
        saved = type(cast(Any, model)).from_pretrained(
            str(folder), dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        model.load_state_dict(saved.state_dict())
        return model.eval()

    def merge(self, model: nn.Module) -> nn.Module:
        """Give the model back: there is nothing beside its weights."""
        return model


def _refuse_packed(model: nn.Module, verb: str) -> None:
    if is_quantized(model):
        raise Refusal(
            f'the method "full" {verb} a model in full precision, and this one is packed into 4 or 8 bits. '
            'Set model.quantization to "none", or take the method "qlora".'
        )


half = FullHalf()
