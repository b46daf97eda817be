"""Each layer's pass as a sign that its process gets on: whatever the pass is for, and however long all of them take."""

from __future__ import annotations

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from pegbox_methods.recipe import Recipe
from pegbox_worker.assembly import Base
from pegbox_worker.base_shelf import BaseShelf
from pegbox_worker.ranks.beating import Beat


class PulsingShelf(BaseShelf):
    """Gives base models that tell a process' beat of each layer they go through."""

    def __init__(self, beat: Beat) -> None:
        super().__init__()
        self._beat = beat

    def base(self, recipe: Recipe, device: torch.device) -> Base:
        """Load a recipe's base model. Raises: Refusal."""
        base = super().base(recipe, device)
        tell_passes(base.model, self._beat)
        return base


def tell_passes(model: nn.Module, beat: Beat) -> None:
    """Let the beat hear of each layer's pass; of the whole model's, where nobody knows its layers.

    A layer that goes through one batch of training, of an evaluation or of a judgement, or one token of an answer: each
    may take minutes for the model, and none for a layer.
    """
    layers: list[nn.Module] = [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]
    for layer in layers or [model]:
        layer.register_forward_pre_hook(lambda *_: beat.advance())
