"""RandLoRA's torch half: the random bases are kept out of checkpoints, and go into the adapter once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel, RandLoraConfig
from torch import Tensor, nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules

ADAPTER = "default"
BASES = ("randlora_A", "randlora_B")
ONLY_BASES_MISSING = r"Found missing adapter keys while loading the checkpoint: \[('[^']*randlora_[AB]\.\w+'(, )?)+\]"


@dataclass(frozen=True)
class RandLoraHalf(PeftHalf):
    """PEFT's RandLoRA, with bases that are stored once where PEFT would store them once for each adapted map."""

    def save(self, attached: Attached, folder: Path) -> None:
        """Write the adapter with its bases; PEFT loads such an adapter by itself.

        The key alone wouldn't do: processors without AVX2 round a few numbers of the bases differently, and another
        version of torch may draw others altogether.
        """
        model = cast(PeftModel, attached.model)
        drawn = {f"base_model.{name}.{ADAPTER}": _short(getattr(model.base_model, name)[ADAPTER]) for name in BASES}
        config = cast(Any, model.peft_config[ADAPTER])
        config.save_projection = True
        try:
            model.save_pretrained(str(folder), state_dict=model.state_dict() | drawn, save_embedding_layers=False)
        finally:
            config.save_projection = False

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put the saved adapter on a base model, without PEFT's warning that each map's own copy is missing."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=ONLY_BASES_MISSING)
            return super().load(model, folder)


def randlora_config(model: nn.Module, recipe: Recipe) -> RandLoraConfig:
    """Translate the settings into PEFT's words."""
    settings = recipe.method.settings
    config = RandLoraConfig(
        task_type="CAUSAL_LM",
        r=settings["rank"],
        randlora_alpha=settings["alpha"],
        randlora_dropout=settings["dropout"],
        sparse=settings["bases"] == "sparse",
        very_sparse=settings["bases"] == "very-sparse",
        projection_prng_key=recipe.seeds.training,
        target_modules=target_modules(model, settings["targets"]),
    )
    config.save_projection = False  # here, PEFT doesn't warn of what `save` takes care of
    return config


def _short(basis: Tensor) -> Tensor:
    """Halve the bytes of a basis that was drawn in bfloat16, as the dense ones are; leave others as they are."""
    short = basis.to(torch.bfloat16)
    return short if torch.equal(short.to(basis.dtype), basis) else basis


half = RandLoraHalf(randlora_config)
