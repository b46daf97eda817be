"""An adapter loaded anew, held against the run's own model: on prompts, and on the run's held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import torch
from peft import PeftModel
from torch import nn

from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import load_torch_half
from pegbox_runs.arena.verdict.chance import Floats, SameRows
from pegbox_runs.artefacts.artefact import SAME_KL, QualityCost
from pegbox_runs.exporting.conversion import LOSSY_KL, LOSSY_SHARE, ProveAdapter, ProvenAdapter
from pegbox_runs.judging.judged import RowLosses
from pegbox_runs.rows.loading import find_rows
from pegbox_runs.tuned import TunedRun
from pegbox_worker.assembly import loss_on_labels
from pegbox_worker.base_model import end_tokens
from pegbox_worker.ground import refuse_other_rows
from pegbox_worker.precision import NumberFormat
from pegbox_worker.prepared import prepare
from pegbox_worker.proving import Heard, distance_from, hold_against, look_at, proof_prompts
from pegbox_worker.row_losses import fused_head_lent, in_use, losses_of_rows, score_as
from pegbox_worker.token_rows import TokenRows
from pegbox_worker.tuned_model import load_base_of, load_tuned

FLOAT32 = NumberFormat("float32", torch.float32, torch.float32)
MOST_ROWS = 256
"""Held-out rows that are looked at; more would narrow the range little."""
LEAST_ROWS = 2
LEAST_KL = 1e-9
"""What two float32 computations of one model differ by at most, as a mean KL, with room to spare."""

Doing = Callable[[str], Heard]
"""Says what is being done, and gives what hears how it goes on."""


def prove_adapter(run: TunedRun, asked: ProveAdapter, device: torch.device, doing: Doing) -> ProvenAdapter:
    """Hold an adapter against the run's, both on the base in full precision, in float32.

    Raises: Refusal: it can't be loaded.
    """
    tuned = load_tuned(run, device=device, weights=torch.float32, packed=False)
    ends = frozenset({*end_tokens(tuned.model), tuned.tokenizer.eos_token_id})
    rows, unmeasured = _held_out(run, tuned.tokenizer, end_tokens(tuned.model)) if asked.cost else (None, "")
    seen = look_at(
        tuned.model,
        proof_prompts(run, tuned.tokenizer),
        padding=tuned.tokenizer.pad_token_id,
        ends=ends,
        device=device,
        folder=Path(asked.scratch),
        heard=doing("looking at the run's own model"),
    )
    before = None if rows is None else _losses(run, tuned.model, rows, tuned.tokenizer, device)
    del tuned
    base, tokenizer = load_base_of(run, device=device, weights=torch.float32, packed=False)
    effect = distance_from(seen, base, device, doing("looking at the base alone")).mean_kl
    bare = None if rows is None else _losses(run, base, rows, tokenizer, device)
    model = _put_on(run, base, asked, device)
    proof = hold_against(
        seen,
        model,
        of=asked.of,
        against="base + adapter",
        computed_in="float32",
        device=device,
        bound_kl=_bound(effect, exact=asked.exact),
        answers_must_agree=asked.exact,
        heard=doing(f"holding the {asked.of} against it"),
    )
    proof = msgspec.structs.replace(proof, effect_kl=effect)
    if rows is None or before is None or bare is None:
        return ProvenAdapter(proof=proof, unmeasured=unmeasured)
    return ProvenAdapter(proof=proof, cost=_cost(before, _losses(run, model, rows, tokenizer, device), bare))


def _bound(effect: float, *, exact: bool) -> float:
    """Give the mean KL that the same model stays below: never so much that an adapter that does nothing passes."""
    return min(SAME_KL if exact else LOSSY_KL, max(LOSSY_SHARE * effect, LEAST_KL))


def _put_on(run: TunedRun, base: nn.Module, asked: ProveAdapter, device: torch.device) -> nn.Module:
    if asked.alone:
        model = cast(nn.Module, PeftModel.from_pretrained(base, asked.folder))
    else:
        model = load_torch_half(run.card).load(base, Path(asked.folder))
    return model.to(device).eval().requires_grad_(False)


def _held_out(run: TunedRun, tokenizer: Any, ends: frozenset[int]) -> tuple[TokenRows | None, str]:
    """Give the run's held-out rows in tokens; None with a sentence: they can't be had any more."""
    try:
        found = find_rows(run.recipe)
        refuse_other_rows(found, run.folder)
        rows = prepare(run.recipe, found, tokenizer, ends, lambda *_: None).held_out
    except Refusal as refusal:
        return None, f"What it costs on held-out rows isn't measured: {refusal.sentence}"
    if len(rows) < LEAST_ROWS:
        return None, f"What it costs isn't measured: the run held {len(rows)} rows out."
    if len(rows) > MOST_ROWS:
        rows = TokenRows.of(rows.input_ids[:MOST_ROWS], rows.labels[:MOST_ROWS])
    return rows, ""


def _losses(run: TunedRun, model: Any, rows: TokenRows, tokenizer: Any, device: torch.device) -> RowLosses:
    loss = loss_on_labels(model, rows, FLOAT32, device)
    with fused_head_lent(model) if loss is None else nullcontext(), in_use(model, torch.float32, device):
        return losses_of_rows(
            score_as(model, loss),
            rows,
            batch=run.recipe.evaluation_batch,
            padding=tokenizer.pad_token_id,
            device=device,
            name="held-out",
            interrupted=lambda: False,
        )


def _cost(before: RowLosses, after: RowLosses, bare: RowLosses) -> QualityCost:
    """Put a range on the difference of the two losses, by drawing the same rows anew for both."""
    series: dict[Hashable, Floats] = {"before": np.array([before.nats]), "after": np.array([after.nats])}
    change = SameRows(np.array(before.tokens, dtype=np.float64), series, seeds=[0]).difference("after", "before")
    down, up = change.reach()
    return QualityCost(
        rows=len(before.nats),
        loss_before=before.mean,
        loss_after=after.mean,
        loss_base=bare.mean,
        low=change.value - down,
        high=change.value + up,
    )
