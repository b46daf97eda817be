"""LoRA+'s torch half: the optimizer that the recipe names, with a higher rate for B."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from peft.optimizers import create_loraplus_optimizer
from torch import nn
from transformers import Trainer, TrainingArguments

from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf, lora_config

if TYPE_CHECKING:
    from torch.optim import Optimizer

TRAINERS_NAMES = {"adamw": "adamw_torch_fused"}
"""Where transformers calls an optimizer otherwise than the recipe does; the worker translates in the same way."""


@dataclass(frozen=True)
class LoraPlusHalf(PeftHalf):
    """LoRA with an optimizer of its own."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model, and divide its weights between two learning rates.

        Raises: Refusal: a target's name is not in the model.
        """
        tuned = super().attach(model, recipe).model
        return Attached(model=tuned, optimizer=_optimizer(tuned, recipe))


def _optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    """Make the optimizer that Trainer would make, so that nothing but B's rate differs from LoRA."""
    training = recipe.training
    arguments = TrainingArguments(
        output_dir="",  # nothing is written by these
        use_cpu=next(model.parameters()).device.type == "cpu",
        optim=TRAINERS_NAMES.get(training.optimizer, training.optimizer),
        learning_rate=training.learning_rate,
    )
    kind, named = Trainer.get_optimizer_cls_and_kwargs(arguments)
    made = create_loraplus_optimizer(
        model,
        kind,
        loraplus_lr_ratio=recipe.method.settings["ratio"],
        loraplus_weight_decay=training.weight_decay,
        **named,
    )
    return cast("Optimizer", made)


half = LoraPlusHalf(lora_config)
