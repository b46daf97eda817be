"""IA3's torch half."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import IA3Config
from peft.tuners.ia3 import IA3Layer
from torch import Tensor, nn

from pegbox_hardware.shape import ends_like
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.ia3.maps import INNER, KEYS_AND_VALUES, PAPERS
from pegbox_methods.zoo.shared.half_torch import (
    PeftHalf,
    is_quantized,
    linear_names,
    linear_paths,
    target_modules,
)


@dataclass(frozen=True)
class Ia3Half(PeftHalf):
    """PEFT's IA3, whose maps on a packed base answer in the format they are asked in."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model.

        Raises: Refusal: a target's name is not in the model, or it has no map with the name of keys or values.
        """
        attached = super().attach(model, recipe)
        _answer_as_asked(attached.model)
        return attached

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put the saved adapter on a base model."""
        loaded = super().load(model, folder)
        _answer_as_asked(loaded)
        return loaded


def ia3_config(model: nn.Module, recipe: Recipe) -> IA3Config:
    """Translate the settings into PEFT's words.

    Raises: Refusal: the model has no map with the name of keys or values.
    """
    targets = recipe.method.settings["targets"]
    return IA3Config(
        task_type="CAUSAL_LM",
        target_modules=_papers_maps(model) if targets == PAPERS else target_modules(model, targets),
        # As a pattern: PEFT wants listed names to be among the targets, letter by letter.
        feedforward_modules=rf"(.*\.)?({'|'.join(re.escape(name) for name in INNER)})",
    )


def _papers_maps(model: nn.Module) -> list[str]:
    paths = linear_paths(model)
    found = [name for name in (*KEYS_AND_VALUES, *INNER) if any(ends_like(path, name) for path in paths)]
    if not set(found).intersection(KEYS_AND_VALUES):
        raise Refusal(
            f'method.settings.targets = "{PAPERS}": none of the model\'s linear maps is known to give keys or '
            f'values. Take "all-linear", or name some of them: {", ".join(linear_names(model))}.'
        )
    return found


def _answer_as_asked(model: nn.Module) -> None:
    """Undo PEFT's cast on a packed base, where keys in float32 would meet queries in 16 bits outside of autocast."""
    if is_quantized(model):
        for part in model.modules():
            if isinstance(part, IA3Layer):
                part.register_forward_hook(_in_the_format_of_the_input)


def _in_the_format_of_the_input(_part: nn.Module, given: tuple[Tensor, ...], result: Any) -> Any:
    return result.to(given[0].dtype)


half = Ia3Half(ia3_config)
