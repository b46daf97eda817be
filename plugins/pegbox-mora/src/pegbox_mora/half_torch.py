"""MoRA's torch half: the four verbs of a method that PEFT has never heard of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pegbox_methods import Refusal
from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import adapted_maps, is_quantized
from safetensors.torch import load_file, save_file
from torch import nn

from pegbox_mora.card import side
from pegbox_mora.square import SquareBeside

WEIGHTS, TOLD = "mora.safetensors", "mora.json"


class MoraHalf:
    """Squares beside the base model's maps; the base model itself is frozen and keeps its weights."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Freeze the base model and put a square beside each map that the targets name.

        Raises: Refusal: a target isn't in the model.
        """
        settings = recipe.method.settings
        model.requires_grad_(False)
        for path, linear in adapted_maps(model, settings["targets"]).items():
            size = side(linear.out_features, linear.in_features, settings["rank"])
            model.set_submodule(path, SquareBeside(linear, size, settings["compression"]))
        return Attached(model=model)

    def save(self, attached: Attached, folder: Path) -> None:
        """Write the squares, named after the maps they stand beside, and how they compress."""
        found = _squares(attached.model)
        weights = {path: layer.square.detach().cpu().contiguous() for path, layer in found.items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        told = {"method": "mora", "compression": next(iter(found.values())).compression}
        (folder / TOLD).write_text(json.dumps(told) + "\n", encoding="utf-8")

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put saved squares on a base model."""
        told: dict[str, Any] = json.loads((folder / TOLD).read_text(encoding="utf-8"))
        for path, weight in load_file(folder / WEIGHTS).items():
            linear = model.get_submodule(path)
            if not isinstance(linear, nn.Linear):
                raise Refusal(f"{folder}: the adapter was made for another model: {path} is no linear map of this one.")
            layer = SquareBeside(linear, len(weight), told["compression"])
            layer.square.data.copy_(weight)
            model.set_submodule(path, layer)
        return model.requires_grad_(False)

    def merge(self, model: nn.Module) -> nn.Module:
        """Add what each square does to its map's weight, and take the square away.

        Raises: Refusal: the base model is quantized.
        """
        if is_quantized(model):
            raise Refusal(
                "the base model is loaded in 4 or 8 bits, and a change isn't added to rounded weights: that ruins it. "
                "Load the base model in full precision, put the adapter on that, and merge there."
            )
        for path, layer in _squares(model).items():
            model.set_submodule(path, layer.merged())
        return model


def _squares(model: nn.Module) -> dict[str, SquareBeside]:
    return {path: part for path, part in model.named_modules() if isinstance(part, SquareBeside)}


half = MoraHalf()
