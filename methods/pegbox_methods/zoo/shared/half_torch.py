"""The torch half that methods known to PEFT share: they differ only in their config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from peft import PeftConfig, PeftModel, get_peft_model
from torch import nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached


@dataclass(frozen=True)
class PeftHalf:
    """A method that PEFT implements, made from a function that builds PEFT's config."""

    config: Callable[[nn.Module, Recipe], PeftConfig]

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model; PEFT draws the initial weights from torch's seeded generator.

        Raises: Refusal: none of the target names is in the model; says which linear maps it has.
        """
        try:
            return Attached(model=get_peft_model(model, self.config(model, recipe)))
        except ValueError as error:
            if "arget modules" not in str(error):
                raise
            raise Refusal(
                f"method.settings.targets = {recipe.method.settings.get('targets')!r}: the model has none of these; "
                f"its linear maps are {', '.join(linear_names(model))}."
            ) from error

    def save(self, attached: Attached, folder: Path) -> None:
        """Write PEFT's standard files: adapter_config.json and adapter_model.safetensors."""
        # "auto" would look on the Hub for the base model's vocabulary, and no method here resizes it.
        cast(PeftModel, attached.model).save_pretrained(str(folder), save_embedding_layers=False)

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put the saved adapter on a base model."""
        return cast(nn.Module, PeftModel.from_pretrained(model, str(folder)))

    def merge(self, model: nn.Module) -> nn.Module:
        """Fold the adapter in, checking for NaN."""
        return cast(nn.Module, cast(PeftModel, model).merge_and_unload(safe_merge=True))


def linear_names(model: nn.Module) -> tuple[str, ...]:
    """List the last names of a model's linear maps, each once, in order."""
    names = {name.rpartition(".")[2]: None for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    return tuple(names)
