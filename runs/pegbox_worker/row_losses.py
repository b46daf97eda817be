"""The plain task's loss of each row, computed as the run's own evaluations compute it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import is_peft_model
from torch import Tensor, nn
from trl.trainer.utils import add_fused_lm_head

from pegbox_runs.judging.judged import RowLosses
from pegbox_runs.rows.masking import IGNORED
from pegbox_worker.failure import Diverged
from pegbox_worker.first_look import micro_batches
from pegbox_worker.labelled_loss import LabelledLoss
from pegbox_worker.out_of_memory import OutOfMemoryAt, is_out_of_memory
from pegbox_worker.precision import computing_in
from pegbox_worker.questions import resting
from pegbox_worker.random_state import chance_put_aside
from pegbox_worker.row_order import LongestFirst
from pegbox_worker.token_rows import TokenRows
from pegbox_worker.trainer import lengths_of

ScoreRows = Callable[[dict[str, Tensor]], Tensor]
"""A padded micro-batch -> the sum of each row's cross-entropies, in nats: (rows,) in float64, on the CPU."""


class Interrupted(Exception):
    """A stop came in between: what was looked at so far is of no use."""


@contextmanager
def in_use(model: nn.Module, compute: torch.dtype, device: torch.device) -> Iterator[None]:
    """Look at a model as an evaluation does, in its number format, and leave modes and chance as they were."""
    with chance_put_aside(), resting(model), torch.no_grad(), computing_in(compute, device):
        yield


def score_as(model: Any, labelled_loss: LabelledLoss | None) -> ScoreRows:
    """Take the code that a trainer of this model takes for its loss: ours, or where there is none TRL's fused head.

    Neither holds the logits of more than some hundred positions at once.
    """
    if labelled_loss is not None:
        return labelled_loss.of_rows

    def fused(inputs: dict[str, Tensor]) -> Tensor:
        scores: Tensor = model(**inputs, use_cache=False, fused_lm_head=True).log_probs  # 0 where there is no label
        return -scores.double().sum(1).cpu()

    return fused


@contextmanager
def fused_head_lent(model: Any) -> Iterator[None]:
    """Lend TRL's fused head to a model that no trainer has had yet; its forward is its own again afterwards.

    Under an adapter of PEFT's, the base model gets it, as TRL's trainer does it.
    """
    causal = model.get_base_model() if is_peft_model(model) else model
    own = vars(causal).get("forward")
    add_fused_lm_head(causal)
    try:
        yield
    finally:
        if own is None:
            del causal.forward
        else:
            causal.forward = own


def losses_of_rows(
    score: ScoreRows,
    rows: TokenRows,
    *,
    batch: int,
    padding: int,
    device: torch.device,
    name: str,
    interrupted: Callable[[], bool],
) -> RowLosses:
    """Score rows in the batches of an evaluation, and give their losses in the rows' own order.

    `name`: what rows these are, for people. A row without a label behind its first token is left out: nothing predicts
    that one.
    Raises: Interrupted; Diverged: a loss is no finite number; OutOfMemoryAt.
    """
    order = list(LongestFirst(lengths_of(rows.table)))
    ordered = TokenRows(rows.table.select(order), rows.facts)
    found: dict[int, tuple[float, int]] = {}
    for inputs in micro_batches(ordered, batch, padding, device):
        if interrupted():
            raise Interrupted
        places = order[len(found) : len(found) + len(inputs["labels"])]
        counts = (inputs["labels"][:, 1:] != IGNORED).sum(1).tolist()
        with _told(name, inputs["labels"]):
            nats = score(inputs).tolist()
        found.update(zip(places, zip(nats, counts, strict=True), strict=True))
    kept = [found[place] for place in sorted(found) if found[place][1]]
    if not all(math.isfinite(nats) for nats, _ in kept):
        raise Diverged(f"the loss of one of the {name} rows is no finite number")
    return RowLosses(nats=tuple(nats for nats, _ in kept), tokens=tuple(count for _, count in kept))


@contextmanager
def _told(name: str, labels: Tensor) -> Iterator[None]:
    """Say at which batch memory ran out. Raises: OutOfMemoryAt."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        rows, positions = labels.shape
        raise OutOfMemoryAt(f"judging {name} rows", f"judging of {rows} rows of {positions} positions") from error
