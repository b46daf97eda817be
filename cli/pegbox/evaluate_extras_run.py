"""Measures from outside, asked for on the command line of `pegbox evaluate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from pegbox.answer import say
from pegbox_methods.events import Event
from pegbox_methods.home import user_path
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import task_origin
from pegbox_runs.evaluating.asking import EvaluateRequest, absolute
from pegbox_runs.evaluating.evaluated import TaskResult
from pegbox_runs.evaluating.outside.asking import (
    HARNESS_ANSWER,
    PAIRS_ANSWER,
    TASKS_ANSWER,
    HarnessRequest,
    PairsRequest,
    TasksRequest,
)
from pegbox_runs.evaluating.outside.endpoint import Endpoint, endpoint
from pegbox_runs.evaluating.outside.harness_tasks import local_tasks
from pegbox_runs.evaluating.outside.judge import compare
from pegbox_runs.evaluating.outside.results import failed, of_harness, of_judge, of_task
from pegbox_runs.jobs import JobFailed, ask_worker
from pegbox_runs.printable import one_line
from pegbox_runs.tuned import TunedRun

Told = Callable[[Event], None]


def refuse_extras(asked: argparse.Namespace, run: TunedRun) -> None:
    """Refuse what can't be measured, before the core begins, and ask whether rows may be sent. Raises: Refusal."""
    for name in asked.task:
        task_origin(name)
    if asked.lm_eval is None:
        for option in ("lm_eval_tasks", "lm_eval_limit", "lm_eval_chat", "lm_eval_fetch", "allow_task_code"):
            if getattr(asked, option):
                raise Refusal(f"--{option.replace('_', '-')} goes with --lm-eval TASK.")
    else:
        _refuse_harness(asked, run)
    if asked.judge is None:
        for option in ("judge_model", "judge_key_env", "judge_insecure", "yes"):
            if getattr(asked, option):
                raise Refusal(f"--{option.replace('_', '-')} goes with --judge URL.")
    else:
        if asked.judge_rows < 1:
            raise Refusal(f"--judge-rows {asked.judge_rows}: give 1 or more.")
        _agree(asked, _endpoint(asked), run)


def run_extras(asked: argparse.Namespace, run: TunedRun, told: Told) -> tuple[TaskResult, ...]:
    """Measure what was asked for; nothing where no option asks for it.

    What can't be measured is told as that, with the reason: the rest stands.
    """
    found: list[TaskResult] = []
    if asked.task:
        found += _guarded(_tasks, asked, run, told, "plugin", asked.task)
    if asked.lm_eval is not None:
        found += _guarded(_harness, asked, run, told, "lm-eval", _names(asked))
    if asked.judge is not None:
        found += _guarded(_judge, asked, run, told, "endpoint", [asked.judge_model])
    return tuple(found)


def _guarded(
    measure: Callable[[argparse.Namespace, TunedRun, Told], list[TaskResult]],
    asked: argparse.Namespace,
    run: TunedRun,
    told: Told,
    source: str,
    names: Sequence[str],
) -> list[TaskResult]:
    try:
        return measure(asked, run, told)
    except (Refusal, JobFailed) as error:
        last = error.last_words.splitlines()[-1:] if isinstance(error, JobFailed) else []
        why = one_line("; ".join([error.sentence.rstrip("."), *last]), 500)
        return [failed(name, source, why) for name in names]


def _tasks(asked: argparse.Namespace, run: TunedRun, told: Told) -> list[TaskResult]:
    names = tuple(dict.fromkeys(asked.task))
    request = TasksRequest(run=str(run.folder.path), base=run.moved_base, tasks=names, batch=asked.answer_batch)
    scores = ask_worker("tasks", request, TASKS_ANSWER, timeout_seconds=None, told=told)
    return [of_task(one) for one in scores]


def _harness(asked: argparse.Namespace, run: TunedRun, told: Told) -> list[TaskResult]:
    figures = ask_worker("lm-eval", _of_harness(asked, run), HARNESS_ANSWER, timeout_seconds=None, told=told)
    return [of_harness(one) for one in figures]


def _of_harness(asked: argparse.Namespace, run: TunedRun, *, only_look: bool = False) -> HarnessRequest:
    folder = _folder(asked)
    return HarnessRequest(
        run=str(run.folder.path),
        base=run.moved_base,
        tasks=_names(asked),
        folder=None if folder is None else str(folder),
        allow_code=asked.allow_task_code,
        fetch=asked.lm_eval_fetch,
        limit=asked.lm_eval_limit,
        chat=asked.lm_eval_chat,
        only_look=only_look,
    )


def _judge(asked: argparse.Namespace, run: TunedRun, told: Told) -> list[TaskResult]:
    there = _endpoint(asked)
    rows = EvaluateRequest(
        run=str(run.folder.path),
        base=run.moved_base,
        file=None if asked.rows is None else absolute(asked.rows),
        limit=asked.limit,
        answers=asked.judge_rows,
        answer_batch=asked.answer_batch,
    )
    pairs = ask_worker("pairs", PairsRequest(asked=rows), PAIRS_ANSWER, timeout_seconds=None, told=told)
    return [of_judge(compare(pairs, there, told), there)]


def _refuse_harness(asked: argparse.Namespace, run: TunedRun) -> None:
    """Refuse what the harness can't do; for its own tasks it is asked itself, in seconds. Raises: Refusal."""
    if find_spec("lm_eval") is None:
        raise Refusal("--lm-eval needs EleutherAI's harness, which isn't installed: pip install 'pegbox[lm-eval]'")
    if not _names(asked):
        raise Refusal("--lm-eval: name one task, or several with commas between them.")
    if asked.lm_eval_limit is not None and asked.lm_eval_limit < 1:
        raise Refusal(f"--lm-eval-limit {asked.lm_eval_limit}: give 1 or more.")
    local = local_tasks(_folder(asked), _names(asked), allow_code=asked.allow_task_code, fetch=asked.lm_eval_fetch)
    if not local.elsewhere:
        return
    try:
        ask_worker("lm-eval", _of_harness(asked, run, only_look=True), HARNESS_ANSWER, timeout_seconds=None)
    except JobFailed as failed:
        raise Refusal(failed.explained) from failed


def _names(asked: argparse.Namespace) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in asked.lm_eval.split(",") if name.strip()))


def _folder(asked: argparse.Namespace) -> Path | None:
    return None if asked.lm_eval_tasks is None else user_path(asked.lm_eval_tasks).absolute()


def _endpoint(asked: argparse.Namespace) -> Endpoint:
    """Raises: Refusal."""
    if not asked.judge_model:
        raise Refusal("--judge needs --judge-model NAME: what the judge is called at that address.")
    return endpoint(asked.judge, asked.judge_model, key_from=asked.judge_key_env, insecure=asked.judge_insecure)


def _agree(asked: argparse.Namespace, there: Endpoint, run: TunedRun) -> None:
    """Say what will be sent and where to, and go on only with a yes. Raises: Refusal."""
    rows = "the run's held-out rows" if asked.rows is None else one_line(asked.rows, 80)
    with_key = f", with the key from {asked.judge_key_env}" if there.key else ""
    sends = (
        f"--judge sends up to {asked.judge_rows} questions of {rows}, with the expected answers and what {run.id} and "
        f"its base answer, to {there.model} at {there.shown}{with_key}; each twice."
    )
    if asked.yes:
        say(sends, json=True)
        return
    if sys.stdin is None or not sys.stdin.isatty() or sys.stderr is None or not sys.stderr.isatty():
        raise Refusal(f"{sends} Nobody is here to be asked: say --yes if it may.")
    say(f"{sends}\nSend them? [y/N] ", json=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refusal("nothing was sent, and nothing was evaluated. Leave --judge out to evaluate without a judge.")
