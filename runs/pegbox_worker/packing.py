"""Several whole rows in one sequence, so that no position is wasted on padding, where the model keeps them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from trl import pack_dataset
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from pegbox_worker.token_rows import TokenRows

TRIED_TOKENS = 64
"""Of each of the two rows that are tried: enough for any attention to reach from one into the other."""
NOISE = 0.05
"""Of the difference that a neighbour makes where rows are only put in a line: what rounding explains."""
SILENCE = 1e-3
"""Of the logits' own size: a difference that means nothing even where a neighbour makes none."""


def pack(rows: TokenRows, length: int, seed: int, path: Path) -> TokenRows:
    """Fill sequences of at most `length` tokens with whole rows, by best fit, and write them beside the rows.

    The rows are shuffled first, so that neighbours in the file aren't always neighbours in a sequence. The table has a
    row for each sequence, with its rows' lengths as `seq_lengths`; the facts stay those of the rows.
    """
    plain = rows.table.select_columns(["input_ids", "labels"]).shuffle(seed=seed, keep_in_memory=True)
    table = pack_dataset(plain, length, "bfd", {"cache_file_name": str(path)})
    return TokenRows(table, rows.facts)


def keeps_apart(model: nn.Module, rows: TokenRows, device: torch.device, padding: int) -> bool:
    """Try whether a row's logits are the same with another row before it in the sequence as alone.

    What a model's code, its attention kernel and its method do together decides, so it is measured and not looked up.
    Returns: False too where the model takes no packed rows at all.
    """
    if len(rows) < 2:
        return True
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return _apart(model, *_two_rows(rows), device, padding)
    except (TypeError, ValueError, RuntimeError, IndexError, NotImplementedError):
        return False
    finally:
        model.train(training)


def _two_rows(rows: TokenRows) -> tuple[list[int], list[int]]:
    """Take two rows that differ, if any of the first hundred do."""
    first, *others = [ids[:TRIED_TOKENS] for ids in rows.input_ids[:100]]
    return first, next((ids for ids in others if ids != first), others[0])


def _apart(model: Any, before: list[int], row: list[int], device: torch.device, padding: int) -> bool:
    def logits(inputs: dict[str, Any]) -> Tensor:
        moved = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in inputs.items()}
        scores: Tensor = model(**moved, use_cache=False).logits[0, -len(row) :].float()
        return scores

    packed = DataCollatorForLanguageModeling(pad_token_id=padding, padding_free=True)(
        [{"input_ids": ids, "labels": ids} for ids in (before, row)]
    )
    packed.pop("labels")
    alone = logits({"input_ids": torch.tensor([row])})
    in_line = logits({"input_ids": torch.tensor([before + row])})
    difference = float((logits(packed) - alone).abs().max())
    return difference <= max(NOISE * float((in_line - alone).abs().max()), SILENCE * float(alone.abs().max()))
