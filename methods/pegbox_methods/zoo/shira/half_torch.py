"""SHiRA's torch half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftConfig, PeftModel, ShiraConfig
from torch import Tensor, nn

from pegbox_methods.adapter_files import refuse_pickles
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules
from pegbox_methods.zoo.shared.map_sizes_torch import map_sizes


@dataclass(frozen=True)
class ShiraHalf(PeftHalf):
    """PEFT's SHiRA without its way to draw positions, which permutes all weights of each map: minutes for 8B."""

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put the saved adapter on a base model; its positions are in the file."""
        refuse_pickles(folder)
        config = PeftConfig.from_pretrained(str(folder))
        config.mask_fn = None  # PEFT would draw positions, and then replace them by the file's
        return cast(nn.Module, PeftModel.from_pretrained(model, str(folder), config=config))


def shira_config(model: nn.Module, recipe: Recipe) -> ShiraConfig:
    """Translate the settings into PEFT's words.

    Raises: Refusal: a map has fewer weights than shall be trained.
    """
    settings = recipe.method.settings
    rank, targets = settings["rank"], settings["targets"]
    for name, (d_out, d_in) in map_sizes(model, targets).items():
        most = d_out * d_in // (d_out + d_in)
        if rank > most:
            raise Refusal(
                f"method.settings.rank = {rank}: {name} maps {d_in} numbers to {d_out} and has fewer weights than "
                f"{rank} x ({d_out} + {d_in}); take {most} at most, or leave it out of method.settings.targets."
            )
    config = ShiraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        random_seed=recipe.seeds.training,
        target_modules=target_modules(model, targets),
    )
    config.mask_fn = _drawn_from(recipe.seeds.training)
    return config


def _drawn_from(seed: int) -> Callable[..., Tensor]:
    """Make the function that PEFT asks, map by map, where its weights shall be trained: 1 there, 0 elsewhere."""
    generator = torch.Generator().manual_seed(seed)

    def mask(part: Any, rank: int, **_: Any) -> Tensor:
        d_out, d_in = part.out_features, part.in_features
        chosen = torch.zeros(d_out * d_in, dtype=torch.bool, device=part.weight.device)
        chosen[_positions(d_out * d_in, rank * (d_out + d_in), generator).to(chosen.device)] = True
        return chosen.view(d_out, d_in)

    return mask


def _positions(total: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` of the numbers below `total`, none of them twice."""
    if 4 * count > total:
        return torch.randperm(total, generator=generator)[:count]
    drawn = torch.empty(0, dtype=torch.long)
    while len(drawn) < count:
        more = torch.randint(total, (count + count // 4,), generator=generator)
        drawn = torch.cat([drawn, more]).unique()
    return drawn[torch.randperm(len(drawn), generator=generator)[:count]]  # they are in order: none is to be favoured


half = ShiraHalf(shira_config)
