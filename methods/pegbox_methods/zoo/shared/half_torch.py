"""The torch half that methods known to PEFT share: they differ only in their config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from peft import LoraConfig, PeftConfig, PeftModel, PromptLearningConfig, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ALL_LINEAR, ATTENTION, ends_like, is_pattern
from pegbox_methods.adapter_files import refuse_pickles
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
        return Attached(model=get_peft_model(model, self.config(model, recipe)))

    def save(self, attached: Attached, folder: Path) -> None:
        """Write PEFT's standard files: adapter_config.json and adapter_model.safetensors."""
        # "auto" would look on the Hub for the base model's vocabulary, and no method here resizes it.
        cast(PeftModel, attached.model).save_pretrained(str(folder), save_embedding_layers=False)

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put the saved adapter on a base model.

        Raises: Refusal: its weights lie in a pickle.
        """
        refuse_pickles(folder)
        return cast(nn.Module, PeftModel.from_pretrained(model, str(folder)))

    def merge(self, model: nn.Module) -> nn.Module:
        """Fold the adapter in, checking for NaN.

        Raises: Refusal: the adapter is no change of weights, or the base model is quantized. Rounding the sum again
        would lose most of what was learned: peft#2105; with SmolLM2-135M the logits moved by up to 24.
        """
        if isinstance(cast(PeftModel, model).active_peft_config, PromptLearningConfig):
            raise Refusal("the adapter is tokens put before the row, which no weights of the base model could hold.")
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
        lora_alpha=as_saved(settings["alpha"]),
        lora_dropout=settings["dropout"],
        target_modules=target_modules(model, settings["targets"]),
        **flags,
    )


def as_saved(alpha: float) -> float:
    """Give a whole alpha as a whole number: PEFT declares it as one, and importers of other tools read it so."""
    return int(alpha) if alpha == int(alpha) else alpha


def target_modules(model: nn.Module, targets: str | list[str]) -> str | list[str]:
    """Give the setting `targets` in PEFT's words, which know "all-linear" but neither "attention" nor patterns.

    In a mixture of experts "all-linear" is attention's maps, as for `ModelShape.adapted`: PEFT would wrap the stacked
    experts too, which most methods can't and none can with dropout.

    An item of a list names maps by the end of their name, as in "q_proj" or "mlp.up_proj"; with `*`, `?` or `[...]`
    it is a pattern for it, as in "*_proj" or "layers.[0-7].mlp.*".
    Raises: Refusal: an item matches no linear map, and which maps the model has; which maps are attention's isn't
    known for this kind of model.
    """
    if targets == ALL_LINEAR and not _has_experts(model):
        return ALL_LINEAR
    if targets in (ALL_LINEAR, ATTENTION):
        return list(_attention(model))
    names = linear_paths(model)
    wanted = {item: [name for name in names if ends_like(name, item)] for item in targets}
    missing = [item for item, found in wanted.items() if not found]
    if missing:
        raise Refusal(
            f"method.settings.targets: the model has no {', '.join(missing)}; its linear maps are "
            f"{', '.join(linear_names(model))}."
        )
    plain = [item for item in targets if not is_pattern(item)]
    return [*plain, *dict.fromkeys(name for item in targets if is_pattern(item) for name in wanted[item])]


def _has_experts(model: nn.Module) -> bool:
    shape, _ = shape_of(cast(Any, model).config.to_dict())
    return shape is not None and shape.expert_weights > 0


def _attention(model: nn.Module) -> tuple[str, ...]:
    shape, why = shape_of(cast(Any, model).config.to_dict())
    if shape is None:
        raise Refusal(
            f'method.settings.targets = "attention": {why}. Take "all-linear", or name some of the model\'s linear '
            f"maps: {', '.join(linear_names(model))}."
        )
    return shape.attention


def is_quantized(model: nn.Module) -> bool:
    """Tell whether a base model's weights, or those below an adapter, are packed by bitsandbytes."""
    return bool(getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False))


def linear_paths(model: nn.Module) -> tuple[str, ...]:
    """List the full names of a model's linear maps but the head, in order."""
    head = cast(Any, model).get_output_embeddings()
    return tuple(
        name for name, part in model.named_modules() if isinstance(part, (nn.Linear, Conv1D)) and part is not head
    )


def linear_names(model: nn.Module) -> tuple[str, ...]:
    """List the last names of a model's linear maps but the head, each once, in order."""
    return tuple(dict.fromkeys(path.rpartition(".")[2] for path in linear_paths(model)))


def adapted_maps(model: nn.Module, targets: str | list[str]) -> dict[str, nn.Linear]:
    """Find the linear maps that the setting `targets` names, for a method that itself puts something on each.

    Returns: full name -> map, in order; packed ones too, GPT-2's Conv1D not.
    Raises: Refusal: as `target_modules`; or all that are named are Conv1D.
    """
    wanted = target_modules(model, targets)
    named = (
        path for path in linear_paths(model) if wanted == ALL_LINEAR or any(ends_like(path, end) for end in wanted)
    )
    found = {path: part for path in named if isinstance(part := model.get_submodule(path), nn.Linear)}
    if not found:
        raise Refusal(
            "method.settings.targets: the model has no such map of torch's kind Linear, and this method adapts no "
            'other. Take a method for them, such as "lora".'
        )
    return found
