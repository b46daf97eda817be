"""The rows, shown to a method that begins from them, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pegbox_methods.torch_half import Attached
from pegbox_runs.rows.masking import IGNORED
from pegbox_worker.token_rows import TokenRows


def show_rows(attached: Attached, rows: TokenRows, micro_batch: int, padding: int, device: torch.device) -> None:
    """Let the method look at the training rows if it wants to, with dropout off and no gradient kept."""
    if attached.look is None:
        return
    training = attached.model.training
    attached.model.eval()
    with torch.no_grad():
        attached.look(micro_batches(rows, micro_batch, padding, device))
    attached.model.train(training)


def micro_batches(rows: TokenRows, size: int, padding: int, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Cut the rows, in their own order, into padded micro-batches: three tensors of (rows, positions) each.

    Every process of a run sees the same ones, or their adapters would begin differently.
    """
    for begin in range(0, len(rows), size):
        ids = [torch.tensor(row) for row in rows.input_ids[begin : begin + size]]
        labels = [torch.tensor(row) for row in rows.labels[begin : begin + size]]
        parts = {
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=padding),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),
            "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
        }
        yield {name: part.to(device) for name, part in parts.items()}
