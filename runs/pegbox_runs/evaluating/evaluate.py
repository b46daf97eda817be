"""Carrying out an evaluation: the rows are found, the worker looks, the figures are made, and the record is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from pegbox_methods.events import Event, Finished
from pegbox_methods.recipe_file import portable
from pegbox_runs.evaluating.asking import EvaluateRequest, Seen, find_judged_rows
from pegbox_runs.evaluating.evaluated import Evaluated
from pegbox_runs.evaluating.figures import figures
from pegbox_runs.evaluating.keeping import keep, now
from pegbox_runs.evaluating.verdict import verdict
from pegbox_runs.jobs import ask_worker
from pegbox_runs.judging.judged import read_judged
from pegbox_runs.tuned import TunedRun
from pegbox_runs.viewing import state_of


def evaluate(
    run: TunedRun,
    asked: EvaluateRequest,
    told: Callable[[Event], None],
    *,
    left: threading.Event | None = None,
) -> tuple[Evaluated, Path]:
    """Hold a run's model against its base, and keep what was found in the run's folder.

    Returns: the record, and the file that it lies in.
    Raises: Refusal: there are no such rows, or they were changed since. JobFailed. OSError: it can't be kept.
    """
    find_judged_rows(run, asked)  # before torch is loaded for it
    seen = ask_worker("evaluate", asked, Seen, timeout_seconds=None, told=told, left=left)
    evaluated = summed_up(run, seen)
    return evaluated, keep(evaluated, run.folder)


def summed_up(run: TunedRun, seen: Seen) -> Evaluated:
    """Make the record of what the worker saw."""
    found = figures(seen.base, seen.tuned)
    whole = seen.rows.source == "held-out" and seen.rows.rows == seen.rows.of
    return Evaluated(
        run=run.id,
        method=run.recipe.method.name,
        model=portable(run.recipe.model.name),
        adapter_sha256=run.adapter_sha256(),
        model_sha256=run.environment.model_sha256,
        made=now(),
        rows=seen.rows,
        computed=seen.computed,
        figures=found,
        gained=seen.gained,
        lost=seen.lost,
        verdict=verdict(found, held_out=seen.rows.source == "held-out"),
        worse=found[0].finding == "worse",
        kept_loss=kept_loss(run) if whole else None,
    )


def kept_loss(run: TunedRun) -> float | None:
    """Give the loss that the run told of the weights that it kept; None: it told none of just those."""
    judged = read_judged(run.folder.path)
    if judged is not None:
        return judged.after.held_out.mean
    state = state_of(run.folder)
    best, end = state.best_evaluation, state.ended
    told = best is not None and isinstance(end, Finished) and best.step == end.kept_step
    return best.loss if best is not None and told else None
