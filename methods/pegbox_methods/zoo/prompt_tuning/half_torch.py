"""Prompt tuning's torch half, and what all methods that put virtual tokens before a row need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from peft import PromptTuningConfig
from torch import Tensor, nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf

ADAPTER = "default"
Look = Callable[[Iterable[Mapping[str, Tensor]]], None]


@dataclass(frozen=True)
class VirtualTokensHalf(PeftHalf):
    """A method of PEFT's that makes every row longer."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model.

        Raises: Refusal: rows and virtual tokens together are longer than the model's table of positions.
        """
        _refuse_too_long(model, recipe)
        return super().attach(model, recipe)


@dataclass(frozen=True)
class PromptTuningHalf(VirtualTokensHalf):
    """PEFT's prompt tuning, begun from training rows."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model; its virtual tokens are drawn from the vocabulary until it has looked at the rows."""
        attached = super().attach(model, recipe)
        return replace(attached, look=look_at_rows(recipe, lambda ids: _begin_as(attached.model, ids)))


def look_at_rows(recipe: Recipe, begin: Callable[[Tensor], None]) -> Look | None:
    """Make the first look at the rows: it takes as many tokens as there are virtual ones, and begins from them.

    They are the last ones of some whole rows one after the other: what follows them begins like any row. Of SmolLM2's
    held-out rows the loss fell further from there than from the first tokens of a row, cut anywhere.
    `begin` gets ids (virtual tokens).
    """
    settings = recipe.method.settings
    if settings["start"] != "rows":
        return None

    def look(micro_batches: Iterable[Mapping[str, Tensor]]) -> None:
        rows, wanted = [], settings["virtual_tokens"]
        for batch in micro_batches:
            rows += [ids[kept] for ids, kept in zip(batch["input_ids"], batch["attention_mask"].bool(), strict=True)]
            if sum(map(len, rows)) >= wanted:
                break
        tokens = torch.cat(rows)
        begin(tokens.repeat(-(-wanted // len(tokens)))[-wanted:])

    return look


def _begin_as(tuned: nn.Module, ids: Tensor) -> None:
    model = cast(Any, tuned)
    with torch.no_grad():
        model.prompt_encoder[ADAPTER].embedding.weight.copy_(model.word_embeddings(ids))


SPARE_POSITIONS = 8
"""A table of positions may have a few rows more than it says, as OPT's has two."""


def _refuse_too_long(model: nn.Module, recipe: Recipe) -> None:
    """Refuse rows that could come to stand behind the last learned position; rotated ones have no last.

    Raises: Refusal.
    """
    causal = cast(Any, model)
    positions = getattr(causal.config.get_text_config(), "max_position_embeddings", None)
    if positions is None or not any(
        isinstance(part, nn.Embedding) and positions <= part.num_embeddings <= positions + SPARE_POSITIONS
        for part in model.modules()
        if part is not causal.get_input_embeddings()
    ):
        return
    virtual = recipe.method.settings["virtual_tokens"]
    longest = positions - virtual
    if recipe.training.length > longest:
        raise Refusal(
            f"training.length = {recipe.training.length} and method.settings.virtual_tokens = {virtual}: the model has "
            f"learned {positions} positions, and together they take more. "
            + (f"Set training.length to {longest} or less." if longest >= 8 else "Take fewer virtual tokens.")
        )


def prompt_tuning_config(_model: nn.Module, recipe: Recipe) -> PromptTuningConfig:
    """Translate the settings; PEFT draws from the vocabulary with torch's seeded generator."""
    return PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=recipe.method.settings["virtual_tokens"],
        prompt_tuning_init="SAMPLE_VOCAB",
    )


half = PromptTuningHalf(prompt_tuning_config)
