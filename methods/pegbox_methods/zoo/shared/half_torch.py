"""The torch half that methods known to PEFT share: they differ only in their config."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from torch import nn

from pegbox_hardware.model_config import shape_of
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached


@dataclass(frozen=True)
class PeftHalf:
    """A method that PEFT implements, made from a function that builds PEFT's config."""

    config: Callable[[nn.Module, Recipe], PeftConfig]

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model; PEFT draws the initial weights from torch's seeded generator.

        Raises: Refusal: a target's name is not in the model; says which linear maps it has.
        """
        config = self.config(model, recipe)
        if isinstance(config.target_modules, (list, set)):
            _refuse_missing(model, config.target_modules)
        return Attached(model=get_peft_model(model, config))

    def save(self, attached: Attached, folder: Path) -> None:
        """Write PEFT's standard files: adapter_config.json and adapter_model.safetensors."""
        # "auto" would look on the Hub for the base model's vocabulary, and no method here resizes it.
        cast(PeftModel, attached.model).save_pretrained(str(folder), save_embedding_layers=False)

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put the saved adapter on a base model."""
        return cast(nn.Module, PeftModel.from_pretrained(model, str(folder)))

    def merge(self, model: nn.Module) -> nn.Module:
        """Fold the adapter in, checking for NaN.

        Raises: Refusal: the base model is quantized. Rounding the sum again would lose most of what was learned:
        peft#2105; with SmolLM2-135M the logits moved by up to 24.
        """
        if is_quantized(model):
            raise Refusal(
                "the base model is loaded in 4 or 8 bits, and an adapter isn't merged into rounded weights: that "
                "ruins it. Load the base model in full precision, put the adapter on that, and merge there."
            )
        return cast(nn.Module, cast(PeftModel, model).merge_and_unload(safe_merge=True))


def lora_config(model: nn.Module, recipe: Recipe, **flags: Any) -> LoraConfig:
    """Translate the settings that LoRA and its variants share into PEFT's words; `flags` name the variant."""
    settings = recipe.method.settings
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings["rank"],
        lora_alpha=settings["alpha"],
        lora_dropout=settings["dropout"],
        target_modules=target_modules(model, settings["targets"]),
        **flags,
    )


def target_modules(model: nn.Module, targets: str | list[str]) -> str | list[str]:
    """Give the setting `targets` in PEFT's words, which know "all-linear" but not "attention".

    Raises: Refusal: which linear maps are attention's isn't known for this kind of model.
    """
    if targets != "attention":
        return targets
    shape, why = shape_of(cast(Any, model).config.to_dict())
    if shape is None:
        raise Refusal(
            f'method.settings.targets = "attention": {why}. Take "all-linear", or name some of the model\'s linear '
            f"maps: {', '.join(linear_names(model))}."
        )
    return list(shape.attention)


def is_quantized(model: nn.Module) -> bool:
    """Tell whether a base model's weights, or those below an adapter, are packed by bitsandbytes."""
    return bool(getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False))


def linear_names(model: nn.Module) -> tuple[str, ...]:
    """List the last names of a model's linear maps, each once, in order."""
    names = {name.rpartition(".")[2]: None for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    return tuple(names)


def _refuse_missing(model: nn.Module, targets: Iterable[str]) -> None:
    """Refuse a target that matches nothing; PEFT does so only if none of them matches anything."""
    names = [name for name, _ in model.named_modules()]
    missing = sorted(t for t in targets if not any(name == t or name.endswith(f".{t}") for name in names))
    if missing:
        raise Refusal(
            f"method.settings.targets: the model has no {', '.join(missing)}; its linear maps are "
            f"{', '.join(linear_names(model))}."
        )
