"""HRA's torch half: PEFT's mirrors, with their product in its compact form.

PEFT multiplies squares of a map's inputs, one for each mirror, and keeps them all for the backward pass; a packed map
it can't multiply at all. A chain of mirrors differs from the identity by a matrix of low rank, so the inputs go through
two thin matrices here, as LoRA's do, and then through the map as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import HRAConfig
from peft.tuners.hra.layer import HRALinear
from torch import Tensor, nn
from torch.nn.functional import linear

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules


class CompactMirrors(HRALinear):  # type: ignore[misc]  # mypy doesn't read peft
    """PEFT's layer with another forward pass: the same function, without its squares."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Reflect the inputs, then take the map."""
        if self.disable_adapters or self.merged:
            return super().forward(x, *args, **kwargs)
        reflected = x
        for adapter in reversed(self.active_adapters):
            if adapter in self.hra_u:
                wide, tall = thin_pair(self.hra_u[adapter])
                inputs = reflected.to(wide.dtype)
                reflected = inputs - linear(linear(inputs, wide), tall)
        return self.base_layer(reflected.to(x.dtype), *args, **kwargs).to(x.dtype)


def thin_pair(mirrors: Tensor) -> tuple[Tensor, Tensor]:
    """Give A (mirrors, inputs) and B (inputs, mirrors) such that x - B A x is x after all mirrors, the last one first.

    `mirrors`: (inputs, mirrors), the normal of each in a column, of any length.
    Source: the UT form of a product of Householder reflections, I - U T U', whose T is the inverse of the upper
    triangle of U'U with its diagonal halved; Joffrain et al., "Accumulating Householder transformations, revisited",
    ACM Transactions on Mathematical Software 32(2), 2006.
    """
    # Thin, so float32 costs nothing; solving has no kernel for less.
    with torch.autocast(mirrors.device.type, enabled=False):
        unit = mirrors.float()
        unit = unit / unit.norm(dim=0)
        products = unit.t() @ unit
        triangle = products.triu(1) + 0.5 * torch.eye(len(products), device=products.device)
        tall = torch.linalg.solve_triangular(triangle, unit, upper=True, left=False)
    return unit.t(), tall


@dataclass(frozen=True)
class HraHalf(PeftHalf):
    """PEFT's HRA, computed in the compact form; its files are PEFT's own."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model.

        Raises: Refusal: the number of mirrors is odd; a target's name is not in the model.
        """
        attached = super().attach(model, recipe)
        _compact(attached.model)
        return attached

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put the saved adapter on a base model."""
        loaded = super().load(model, folder)
        _compact(loaded)
        return loaded


def hra_config(model: nn.Module, recipe: Recipe) -> HRAConfig:
    """Translate the settings into PEFT's words.

    Raises: Refusal: the number of mirrors is odd; only pairs of equal mirrors undo each other at the start.
    """
    settings = recipe.method.settings
    rank = settings["rank"]
    if rank % 2:
        raise Refusal(
            f"method.settings.rank = {rank}: mirrors begin in pairs that undo each other, so their number must be "
            f"even. Take {rank - 1} or {rank + 1}."
        )
    return HRAConfig(task_type="CAUSAL_LM", r=rank, target_modules=target_modules(model, settings["targets"]))


def _compact(model: nn.Module) -> None:
    for part in model.modules():
        if type(part) is HRALinear:
            part.__class__ = CompactMirrors


half = HraHalf(hra_config)
