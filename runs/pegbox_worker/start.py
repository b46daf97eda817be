"""The beginning of a run: the method attached, the rows in their order, the steps counted."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import msgspec
import torch
from transformers import set_seed

from pegbox_methods.events import Notice
from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import Attached, TorchHalf, load_torch_half
from pegbox_runs.event_log import EventWriter
from pegbox_runs.plan import Plan, plan
from pegbox_worker.assembly import Base, counted, place_of
from pegbox_worker.base_shelf import BaseShelf
from pegbox_worker.packing import keeps_apart
from pegbox_worker.prepared import PreparedRows
from pegbox_worker.token_rows import TokenRows


@dataclass(frozen=True)
class Start:
    """All that is decided before the first step."""

    recipe: Recipe
    """With the order of rows that is really used."""
    base: Base
    half: TorchHalf
    attached: Attached
    sequences: TokenRows
    """What the trainer walks through: the rows, or the sequences they are packed into."""
    steps: Plan


def begin(
    recipe: Recipe, base: Base, rows: PreparedRows, device: torch.device, writer: EventWriter, shelf: BaseShelf
) -> Start:
    """Attach the method; where packed rows would see each other, begin anew with rows grouped by length, and say so."""
    start = _attach(recipe, base, rows)
    if recipe.training.order != "packed" or keeps_apart(
        start.attached.model, rows.trained, place_of(recipe, device), base.tokenizer.pad_token_id
    ):
        return start
    del base.model  # attaching may have changed it, and the new one needs its memory
    del start
    gc.collect()
    torch.cuda.empty_cache()
    text = (
        "this model with this method doesn't keep packed rows apart (tried on two of them), so rows are grouped by "
        "length instead, each in a sequence of its own."
    )
    writer.emit(Notice(text=text, about="not-packed"))
    grouped = msgspec.structs.replace(recipe, training=msgspec.structs.replace(recipe.training, order="grouped"))
    return _attach(grouped, shelf.base(grouped, device), rows)


def _attach(recipe: Recipe, base: Base, rows: PreparedRows) -> Start:
    packed = rows.sequences if recipe.training.order == "packed" else None
    sequences = rows.trained if packed is None else packed
    steps = plan(recipe, len(sequences))
    set_seed(recipe.seeds.training)  # before attaching: PEFT draws the adapter's first weights
    half = load_torch_half(base.card)
    return Start(recipe, base, half, half.attach(base.model, counted(recipe, steps)), sequences, steps)
