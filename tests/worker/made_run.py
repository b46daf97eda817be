"""A run of any method that seems to have trained: its adapter's weights are moved at random, without a step."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from msgspec import structs

from pegbox_methods.recipe import Model
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import load_torch_half
from pegbox_runs.environment import describe, prints_of
from pegbox_runs.models import BUNDLED, find_model
from pegbox_runs.run_folder import create
from pegbox_runs.tuned import TunedRun, tuned_run
from pegbox_worker.base_model import admit_bitsandbytes, load_model, load_packed_model
from tests.methods_at_work import recipe

CPU = torch.device("cpu")
MOVED = 0.02
"""Standard deviation of what is added to each trained weight."""


def made_run(
    name: str, *, moved: float = MOVED, model: str = "bundled", template: str | None = None, **settings: Any
) -> TunedRun:
    """Make one, on the bundled model or another folder's; `template`: the recipe's own chat template."""
    asked = recipe(name, **settings)
    asked = structs.replace(asked, model=Model(name=model, chat_template=template))
    found, card = find_model(asked.model), find_card(name)
    if card.needs.quantized_base:
        admit_bitsandbytes()
        base = load_packed_model(found, torch.float32, torch.float32, CPU)
    else:
        base = load_model(found, torch.float32, CPU)
    torch.manual_seed(0)
    half = load_torch_half(card)
    attached = half.attach(base, asked)
    with torch.no_grad():
        for weight in attached.model.parameters():
            if weight.requires_grad:
                weight += moved * torch.randn_like(weight)
    told = describe(rows_sha256="r", held_out_sha256=None, base=prints_of(found, asked.model))
    folder = create(asked, told)
    folder.adapter.mkdir()
    half.save(attached, folder.adapter)
    return tuned_run(str(folder.path))


def copied_base(place: Path) -> Path:
    """Copy the bundled model, so that it can be changed."""
    return Path(shutil.copytree(BUNDLED / "model", place))
