"""LoRA-FA's torch half: A is frozen, and PEFT's optimizer corrects B's gradient for it.

The correction is computed in bfloat16 wherever the machine has it, whatever the run computes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from peft.optimizers import create_lorafa_optimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf, lora_config


@dataclass(frozen=True)
class LoraFaHalf(PeftHalf):
    """LoRA that trains B alone."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model and freeze every A, which making the optimizer does.

        Raises: Refusal: a target's name is not in the model.
        """
        tuned = super().attach(model, recipe).model
        settings, training = recipe.method.settings, recipe.training
        optimizer = create_lorafa_optimizer(
            tuned,
            r=settings["rank"],
            lora_alpha=settings["alpha"],
            lr=cast(float, training.learning_rate),
            weight_decay=training.weight_decay,
        )
        optimizer.register_step_pre_hook(fill_gradients)
        optimizer.register_load_state_dict_post_hook(move_state)
        return Attached(model=tuned, optimizer=optimizer)


def fill_gradients(optimizer: Optimizer, *_: Any) -> None:
    """Give a zero to each B that no token went through, such as an expert's: PEFT's step takes all to have one."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.requires_grad and weight.grad is None:
                weight.grad = torch.zeros_like(weight)


def move_state(optimizer: Optimizer) -> None:
    """Bring what a checkpoint held to the weights' device.

    PEFT keeps it by the names of maps, and torch moves only what is kept by weight: on a GPU a resumed run would
    end at its first step.
    """
    device = optimizer.param_groups[0]["params"][0].device
    for kept in optimizer.state.values():
        for name, value in kept.items():
            if isinstance(value, Tensor):
                kept[name] = value.to(device)


half = LoraFaHalf(lora_config)
