"""pegbox evaluate RUN"""

from __future__ import annotations

import argparse
from typing import Any, cast

import msgspec

from pegbox.answer import answer_json
from pegbox.evaluate_extras_run import refuse_extras, run_extras
from pegbox.evaluate_view import show_evaluation
from pegbox.job_progress import job_progress
from pegbox_methods.recipe import Metric
from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_runs.evaluating.asking import METRICS, EvaluateRequest, absolute
from pegbox_runs.evaluating.evaluate import evaluate
from pegbox_runs.evaluating.evaluated import Evaluated, perplexity
from pegbox_runs.evaluating.keeping import keep
from pegbox_runs.jobs import JobFailed
from pegbox_runs.printable import printable
from pegbox_runs.tuned import tuned_run


def run(asked: argparse.Namespace) -> int:
    """Evaluate a run. Exit code 1: the tuned model is shown to be worse than its base on these rows, or a measure from
    outside can't be measured."""
    _refuse(asked)
    tuned = tuned_run(asked.run, base=asked.base)
    refuse_extras(asked, tuned)
    request = EvaluateRequest(
        run=str(tuned.folder.path),
        base=tuned.moved_base,
        file=None if asked.rows is None else absolute(asked.rows),
        limit=asked.limit,
        metrics=_metrics(asked.metrics) if asked.answers != 0 else (),
        answers=asked.answers,
        answer_batch=asked.answer_batch,
    )
    try:
        with job_progress() as told:
            evaluated, path = evaluate(tuned, request, told)
            tasks = run_extras(asked, tuned, told)
    except JobFailed as failed:
        raise Refusal(failed.explained) from None
    if tasks:
        evaluated = msgspec.structs.replace(evaluated, tasks=tasks)
        keep(evaluated, tuned.folder, path=path)
    if asked.json:
        answer_json(_record(evaluated, str(path)))
    else:
        show_evaluation(evaluated, path)
    return 1 if evaluated.worse or any(not one.rows for one in tasks) else 0


def _refuse(asked: argparse.Namespace) -> None:
    """Refuse what can't be meant. Raises: Refusal."""
    for name, least in (("limit", 1), ("answers", 0), ("answer_batch", 1)):
        given = getattr(asked, name)
        if given is not None and given < least:
            raise Refusal(f"--{name.replace('_', '-')} {given}: give {least} or more.")
    _metrics(asked.metrics)


def _metrics(named: str | None) -> tuple[Metric, ...]:
    """Read the list of measures. Raises: Refusal: one isn't known."""
    if named is None:
        return METRICS
    names = tuple(dict.fromkeys(name.strip() for name in named.split(",") if name.strip()))
    if names == ("none",):
        return ()
    if "none" in names:
        raise Refusal("--metrics: none stands alone; leave it out, or name nothing else.")
    for name in names:
        if name not in METRICS:
            raise Refusal(f'--metrics: "{printable(name)}" is no measure; {did_you_mean(name, (*METRICS, "none"))}')
    if not names:
        raise Refusal(f"--metrics: name {', '.join(METRICS)}, or none.")
    return cast(tuple[Metric, ...], names)


def _record(evaluated: Evaluated, path: str) -> dict[str, Any]:
    """Make the record of --json: what is kept, where it is kept, and what is worked out of it."""
    loss = evaluated.loss
    return {
        **msgspec.to_builtins(evaluated),
        "perplexity": {"base": perplexity(loss.base), "tuned": perplexity(loss.tuned)},
        "file": path,
    }
