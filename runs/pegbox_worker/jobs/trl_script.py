"""The job `trl-script`: a run's PEFT config as it was before the training, and its rows in tokens, for a script."""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import load_torch_half
from pegbox_methods.zoo.full.half_torch import FullHalf
from pegbox_methods.zoo.shared.half_torch import PeftHalf
from pegbox_runs.exporting.trl_parts import AskParts, Parts
from pegbox_runs.models import FoundModel
from pegbox_runs.plan import plan
from pegbox_runs.rows.loading import find_rows
from pegbox_runs.tuned import TunedRun, tuned_run
from pegbox_worker.assembly import counted, quiet
from pegbox_worker.base_model import load_tokenizer
from pegbox_worker.ground import refuse_other_rows
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.prepared import prepare
from pegbox_worker.row_care import judge_of
from pegbox_worker.token_rows import TokenRows

OF_THE_FILE = {"peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode"}
"""Fields of PEFT's configs that say where an adapter lies and what wrote it."""


def run(request: bytes, _contact: Contact) -> Parts:
    """Answer an AskParts in JSON.

    Raises: Refusal: the rows were changed since, or the config holds something that a script can't write down.
    """
    asked = msgspec.json.decode(request, type=AskParts)
    quiet()
    tuned = tuned_run(asked.run, base=asked.base)
    rows = _rows(tuned)
    table = rows.sequences if asked.packed and rows.sequences is not None else rows.trained
    _write(table, Path(asked.rows))
    name, config = _config(tuned, len(table))
    return Parts(peft_class=name, peft_config=config, rows=len(table))


def _rows(tuned: TunedRun) -> Any:
    """Prepare the rows as the run did, and see that they are the same. Raises: Refusal."""
    found = find_rows(tuned.recipe)
    refuse_other_rows(found, tuned.folder)
    tokenizer = load_tokenizer(tuned.model, tuned.recipe.model)
    return prepare(tuned.recipe, found, tokenizer, _ends(tuned.model), judge_of(tuned.recipe))


def _ends(found: FoundModel) -> frozenset[int]:
    """List the tokens that end an answer, as a loaded model tells them."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(found.folder, trust_remote_code=False))
    told = model.generation_config.eos_token_id
    file = found.folder / "generation_config.json"
    if file.is_file():
        told = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id", told)
    return frozenset(told if isinstance(told, list) else [] if told is None else [told])


def _write(table: TokenRows, path: Path) -> None:
    columns = [name for name in ("input_ids", "labels", "seq_lengths") if name in table.table.column_names]
    with path.open("w", encoding="utf-8") as file:
        for row in table.table.select_columns(columns):
            file.write(json.dumps(row) + "\n")


def _config(tuned: TunedRun, rows: int) -> tuple[str | None, dict[str, Any]]:
    """Have the method make PEFT's config, on a model without weights. Raises: Refusal."""
    half = load_torch_half(tuned.card)
    if isinstance(half, FullHalf):
        return None, {}
    if not isinstance(half, PeftHalf):
        raise Refusal(f"{tuned.card.name}: isn't made from a config of PEFT's, so plain TRL can't be told of it.")
    recipe: Recipe = counted(tuned.recipe, plan(tuned.recipe, rows))
    with torch.device("meta"):
        shape = AutoConfig.from_pretrained(tuned.model.folder, trust_remote_code=False)
        model = AutoModelForCausalLM.from_config(shape)
    config = half.config(model, recipe)
    given = {
        field.name: _plain(getattr(config, field.name), tuned, field.name)
        for field in fields(config)
        if field.name not in OF_THE_FILE and getattr(config, field.name) != _default(field)
    }
    return type(config).__name__, given


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _plain(value: Any, tuned: TunedRun, name: str) -> Any:
    """Raises: Refusal: it is nothing that a line of Python can say."""
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) or callable(value):
        raise Refusal(f"{tuned.card.name}: its config has {name}, which a script can't write down in a line.")
    return value
