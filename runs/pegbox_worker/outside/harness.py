"""EleutherAI's lm-eval on a run's two models, in memory as they are; the harness brings tasks and measures."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2.exceptions import SecurityError

from pegbox_methods.event import Event
from pegbox_methods.job_events import Progress
from pegbox_methods.refusal import Refusal
from pegbox_runs.evaluating.outside.asking import HarnessFigure, HarnessRequest
from pegbox_runs.evaluating.outside.harness_tasks import local_tasks
from pegbox_runs.tuned import TunedRun
from pegbox_worker.outside.harness_guard import guarded
from pegbox_worker.outside.sides import Side, sides

BOOTSTRAPS = 1000
"""By which the harness finds the error of measures that are no means; its own default takes minutes."""


def look_for(asked: HarnessRequest) -> None:
    """Have the harness find the tasks.

    Raises: Refusal: no such task; it brings code.
    """
    folder = None if asked.folder is None else Path(asked.folder)
    local = local_tasks(folder, asked.tasks, allow_code=asked.allow_code, fetch=asked.fetch)
    with guarded(allow_code=asked.allow_code, metrics=local.metrics):
        _manager(folder, asked.tasks, with_own=bool(local.elsewhere))


def measure(run: TunedRun, asked: HarnessRequest, tell: Callable[[Event], None]) -> list[HarnessFigure]:
    """Hold both models against each task.

    Raises: Refusal: no such task; it brings code, or its data set isn't here.
    """
    folder = None if asked.folder is None else Path(asked.folder)
    local = local_tasks(folder, asked.tasks, allow_code=asked.allow_code, fetch=asked.fetch)
    if folder is not None:
        os.chdir(folder)  # what a task reads lies beside it
    with guarded(allow_code=asked.allow_code, metrics=local.metrics):
        manager = _manager(folder, asked.tasks, with_own=bool(local.elsewhere))
        found: dict[str, Any] = {}
        for number, side in enumerate(sides(run)):
            tell(Progress(doing=f"lm-eval, {side.name} model", done=number, of=2))
            _set_network(allowed=asked.fetch)  # after the base was loaded, which may fetch it
            found[side.name] = _evaluated(side, asked, manager)
        tell(Progress(doing="lm-eval", done=2, of=2))
    return list(_figures(found["base"], found["tuned"]))


def _set_network(*, allowed: bool) -> None:
    """Let data sets be fetched, or not. Both libraries have read the environment by now; neither counts downloads."""
    import datasets.config
    import huggingface_hub.constants

    huggingface_hub.constants.HF_HUB_OFFLINE = not allowed
    datasets.config.HF_HUB_OFFLINE = not allowed
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    os.environ["HF_ALLOW_CODE_EVAL"] = "0"  # what a model wrote isn't run


def _manager(folder: Path | None, tasks: tuple[str, ...], *, with_own: bool) -> Any:
    """Let the harness find its tasks; its own thousands only where one of them is asked for. Raises: Refusal."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=None if folder is None else str(folder), include_defaults=with_own)
    for name in tasks:
        if name not in manager.task_index:
            import difflib

            near = difflib.get_close_matches(name, manager.all_tasks, n=1)
            instead = f' Did you mean "{near[0]}"?' if near else ""
            raise Refusal(f'lm-eval has no task, group or tag called "{name}".{instead}')
    return manager


def _evaluated(side: Side, asked: HarnessRequest, manager: Any) -> Mapping[str, Any]:
    """Raises: Refusal."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    harness_model = HFLM(
        pretrained=side.model,
        tokenizer=side.tokenizer,
        backend="causal",
        batch_size=side.run.recipe.evaluation_batch,
        trust_remote_code=False,
    )
    try:
        with side.in_use():
            found = simple_evaluate(
                model=harness_model,
                tasks=list(asked.tasks),
                limit=asked.limit,
                bootstrap_iters=BOOTSTRAPS,
                log_samples=True,
                apply_chat_template=asked.chat,
                task_manager=manager,
                confirm_run_unsafe_code=False,
            )
    except SecurityError as error:
        raise Refusal(
            f"a task's template reaches into Python ({error}), which runs code. Say --allow-task-code to let it."
        ) from error
    except (ConnectionError, FileNotFoundError) as error:
        raise Refusal(_not_here(error, fetch=asked.fetch)) from error
    if found is None:
        raise Refusal("lm-eval gave no results.")
    results: Mapping[str, Any] = found
    return results


def _not_here(error: Exception, *, fetch: bool) -> str:
    said = " ".join(str(error).split())[:300]
    how = "" if fetch else " Nothing is fetched unasked: say --lm-eval-fetch, or put the data here."
    return f"lm-eval can't read the rows of a task: {said}.{how}"


def _figures(base: Mapping[str, Any], tuned: Mapping[str, Any]) -> Iterator[HarnessFigure]:
    for task, told in tuned["results"].items():
        if task not in tuned["samples"]:
            continue  # a group's sum of what its tasks tell
        for key, value in told.items():
            metric, _, kept_by = key.partition(",")
            if not kept_by or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            first, second = (_values(side["samples"][task], metric, kept_by) for side in (base, tuned))
            before, after = _number(base["results"][task][key]), _number(value)
            paired = _is_mean(first, before) and _is_mean(second, after) and len(first) == len(second)
            error_key = f"{metric}_stderr,{kept_by}"
            yield HarnessFigure(
                task=task,
                measure=metric if kept_by == "none" else key,
                higher_is_better=tuned.get("higher_is_better", {}).get(task, {}).get(metric) is not False,
                rows=int(tuned["n-samples"][task]["effective"]),
                base=before,
                tuned=after,
                base_values=tuple(first) if paired else (),
                tuned_values=tuple(second) if paired else (),
                base_error=_number(base["results"][task].get(error_key)),
                tuned_error=_number(told.get(error_key)),
            )


def _values(samples: list[dict[str, Any]], metric: str, kept_by: str) -> list[float]:
    """Give a measure of each row, in the rows' order; none where a row's isn't one number."""
    own = sorted((one for one in samples if one["filter"] == kept_by), key=lambda one: one["doc_id"])
    values: list[Any] = [one.get(metric) for one in own]
    if not all(isinstance(value, bool | int | float) or hasattr(value, "item") for value in values):
        return []
    return [float(value) for value in values]


def _is_mean(values: list[float], of: float | None) -> bool:
    if of is None or not values:
        return False
    return math.isclose(math.fsum(values) / len(values), of, rel_tol=1e-6, abs_tol=1e-9)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
