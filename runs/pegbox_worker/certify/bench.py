"""What every method is tried on: the bundled model and rows, read once and handed out fresh."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from pegbox_hardware.shape import ModelShape
from pegbox_methods.recipe import Model, Recipe, Rows
from pegbox_methods.refusal import Refusal
from pegbox_runs.models import BUNDLED, FoundModel
from pegbox_runs.rows.loading import load_rows
from pegbox_worker.assembly import quiet
from pegbox_worker.base_model import admit_bitsandbytes, fetch, load_model, load_packed_model, load_tokenizer
from pegbox_worker.first_look import micro_batches
from pegbox_worker.token_rows import TokenRows
from pegbox_worker.tokens import tokenize

CPU = torch.device("cpu")
MODEL = Model(name="bundled")
ROWS = Rows(file=str(BUNDLED / "rows.jsonl"))
LENGTH = 256
"""Tokens; longer than every row."""
TRAINED_ROWS = 96
"""The shortest ones, of 46 tokens and a few more: a step of two takes a twentieth of a second."""
HELD_OUT_ROWS = 16
SHOWN_ROWS = 32
"""Of the trained ones, for a method that begins from the rows."""


@dataclass(frozen=True)
class Bench:
    """The model as it lies on disk, its tokenizer, and tokenized rows."""

    found: FoundModel
    shape: ModelShape
    tokenizer: Any
    trained: TokenRows
    held_out: TokenRows
    shown: TokenRows
    no_packing: str | None
    """Why bitsandbytes can't be used here; None: it can."""
    _loaded: dict[tuple[bool, torch.dtype], nn.Module] = field(default_factory=dict)

    def base(self, *, packed: bool, compute: torch.dtype = torch.float32) -> nn.Module:
        """Give a base model that nobody has touched: held in `compute`, or, `packed`, in 4 bits and computing in it.

        Raises: Refusal: bitsandbytes is needed and can't be used here.
        """
        key = packed, compute
        if key not in self._loaded:
            self._loaded[key] = self._load(*key)
        return copy.deepcopy(self._loaded[key])

    def held_out_batch(self, rows: int) -> dict[str, torch.Tensor]:
        """Put the first held-out rows into one batch: three tensors of (rows, positions)."""
        return next(micro_batches(self.held_out, rows, self.tokenizer.pad_token_id, CPU))

    def _load(self, packed: bool, compute: torch.dtype) -> nn.Module:
        if not packed:
            return load_model(self.found, compute, CPU)
        if self.no_packing is not None:
            raise Refusal(self.no_packing)
        return load_packed_model(self.found, torch.float32, compute, CPU)


def open_bench() -> Bench:
    """Read model and rows, and let bitsandbytes in before PEFT first asks for it.

    Raises: Refusal: the installation lacks a part.
    """
    quiet()
    no_packing = None
    try:
        admit_bitsandbytes()
    except Refusal as refusal:
        no_packing = refusal.sentence
    found = fetch(MODEL)
    if found.shape is None:
        raise Refusal(f"{found.folder}: the bundled model's config.json can't be read. Install pegbox again.")
    tokenizer = load_tokenizer(found, MODEL)
    rows = load_rows(Recipe(model=MODEL, rows=ROWS))
    trained = _shortest(tokenize(rows.trained, tokenizer, LENGTH), TRAINED_ROWS)
    return Bench(
        found=found,
        shape=found.shape,
        tokenizer=tokenizer,
        trained=trained,
        held_out=_shortest(tokenize(rows.held_out, tokenizer, LENGTH), HELD_OUT_ROWS),
        shown=_shortest(trained, SHOWN_ROWS),
        no_packing=no_packing,
    )


def _shortest(rows: TokenRows, count: int) -> TokenRows:
    """Keep the rows with the fewest tokens, in their own order."""
    by_length = sorted(range(len(rows)), key=rows.table["length"][:].__getitem__)
    kept = rows.table[sorted(by_length[:count])]
    return TokenRows.of(kept["input_ids"], kept["labels"])
