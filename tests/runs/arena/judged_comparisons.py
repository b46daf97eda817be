"""Comparisons that came to their end, each training with the losses that a test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from pegbox_runs.arena.entries import Entry, Outcome
from pegbox_runs.arena.results import Results
from pegbox_runs.arena.schedule import due
from pegbox_runs.arena.spec import Comparison
from pegbox_runs.arena.verdict.summing_up import Facts, results_of
from pegbox_runs.judging.judged import Judged, Judgement, RowLosses
from tests.runs.arena.made_up_comparisons import comparison

FIGURES: dict[str, Any] = {
    "process_peak": 2**30,
    "training_seconds": 60.0,
    "wall_seconds": 70.0,
    "tokens": 6000,
    "trainable_weights": 1000,
    "adapter_bytes": 4000,
    "curve": ((0, 2.0), (40, 1.0)),
}


def facts(*, complete: bool = True) -> Facts:
    """What a director would know."""
    return Facts(
        comparison="20260101-000000-ab12",
        complete=complete,
        machine="a made-up machine",
        device="cpu",
        model="bundled",
        rows_file="rows.jsonl",
        version="0",
    )


def row_losses(
    level: float, rows: int = 100, *, seed: int = 1, spread: float = 0.1, tokens: Sequence[int] | None = None
) -> RowLosses:
    """Rows around a loss per token: what a row is, is the same for all; how far they are from it hangs on the seed."""
    many = np.array(tokens if tokens is not None else 10 + np.arange(rows) % 30)
    shared, own = np.random.default_rng(0).normal(0, 0.3, rows), np.random.default_rng(seed).normal(0, spread, rows)
    nats = many * (level + sum(drawn - drawn.sum() / max(1, rows) for drawn in (shared, own)))
    return RowLosses(nats=tuple(float(one) for one in nats), tokens=tuple(int(one) for one in many))


def judged(entry: Entry, after: RowLosses, before: RowLosses | None = None, **parts: Any) -> Outcome:
    """A training that came to its end. `parts`: general_before, general_after, scores, scores_before; else figures."""
    looks = {
        "before": Judgement(
            held_out=before or row_losses(2.0, len(after.nats), tokens=after.tokens),
            general=parts.pop("general_before", None),
            scores=parts.pop("scores_before", {}),
        ),
        "after": Judgement(held_out=after, general=parts.pop("general_after", None), scores=parts.pop("scores", {})),
    }
    record = Judged(**looks, kept_step=entry.steps, seconds=0.1)
    return Outcome(entry=entry, state="done", judged=record, **{**FIGURES, **parts})


def outcomes_by_level(
    game: Comparison, levels: Mapping[str, float], *, rows: int = 100, figures: Mapping[str, Any] | None = None
) -> dict[str, Outcome]:
    """Play a comparison to its end; each contestant's loss is its level, and what it makes of a row is its own."""
    outcomes: dict[str, Outcome] = {}
    while wanted := due(game, outcomes):
        entry = wanted[0]
        place = list(levels).index(entry.contestant)
        after = row_losses(levels[entry.contestant], rows, seed=1000 * place + entry.seed)
        outcomes[entry.id] = judged(entry, after, **(figures or {}).get(entry.contestant, {}))
    return outcomes


def compared(
    levels: Mapping[str, float], *, seeds: Sequence[int] = (1, 2, 3), rows: int = 100, **figures: Mapping[str, Any]
) -> Results:
    """Results of contestants of such levels. `figures`: contestant -> what differs from FIGURES."""
    game = comparison(*levels, seeds=seeds, search=False)
    return results_of(game, outcomes_by_level(game, levels, rows=rows, figures=figures), facts())


def same_but_made(results: Results) -> bytes:
    """The record as bytes, without the time at which it was made."""
    return msgspec.json.encode(msgspec.structs.replace(results, made=0.0))
