"""Measures from outside, in the form that evaluations keep: differences with their ranges, and what to know of them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np

from pegbox_runs.arena.results import Interval
from pegbox_runs.arena.verdict.chance import LEVEL, Floats, SameRows
from pegbox_runs.evaluating.evaluated import TaskResult
from pegbox_runs.evaluating.outside.asking import HarnessFigure, TaskScores
from pegbox_runs.evaluating.outside.endpoint import Endpoint
from pegbox_runs.evaluating.outside.judge import Preference

DRAWN_BY = (0,)
"""What the drawn rows hang on: the same answers give the same ranges."""


def failed(name: str, source: str, why: str, *, measure: str = "") -> TaskResult:
    """Tell of a measure that couldn't be taken."""
    return TaskResult(
        name=name,
        source=source,  # type: ignore[arg-type]  # one of its words
        measure=measure,
        rows=0,
        base=None,
        tuned=None,
        difference=None,
        remark=f"couldn't be measured: {why}",
    )


def of_task(scores: TaskScores) -> TaskResult:
    """Tell of a plugin's task."""
    if scores.fault:
        return failed(scores.name, "plugin", scores.fault)
    base, tuned, difference = _paired(scores.base, scores.tuned)
    left_out = f"{scores.left_out} rows leave no room for an answer and are left out" if scores.left_out else ""
    return TaskResult(
        name=scores.name,
        source="plugin",
        measure="mean score",
        rows=len(scores.base),
        base=base,
        tuned=tuned,
        difference=difference,
        higher_is_better=scores.higher_is_better,
        remark=left_out,
    )


def of_harness(figure: HarnessFigure) -> TaskResult:
    """Tell of a task of lm-eval's: by its rows where its figure is their mean, else by the harness's own errors."""
    if figure.base is None or figure.tuned is None:
        return failed(figure.task, "lm-eval", "its figure is no number", measure=figure.measure)
    if figure.base_values:
        _, _, difference = _paired(figure.base_values, figure.tuned_values)
        remark = ""
    else:
        value = figure.tuned - figure.base
        difference, remark = Interval(value=value), "the harness gives no error for it"
        if figure.base_error is not None and figure.tuned_error is not None:
            reach = NormalDist().inv_cdf(1 - LEVEL / 2) * math.hypot(figure.base_error, figure.tuned_error)
            difference = Interval(value=value, low=value - reach, high=value + reach)
            remark = "its range is made of the harness's two standard errors, as if of different rows: too wide"
    return TaskResult(
        name=figure.task,
        source="lm-eval",
        measure=figure.measure,
        rows=figure.rows,
        base=figure.base,
        tuned=figure.tuned,
        difference=difference,
        higher_is_better=figure.higher_is_better,
        remark=remark,
    )


def of_judge(found: Preference, there: Endpoint) -> TaskResult:
    """Tell of a judge's verdicts: the share of wins less the share of losses."""
    values = np.array([found.values], dtype=np.float64)
    rows = SameRows(np.ones(values.shape[1]), {"margin": values}, DRAWN_BY)
    parts = [
        f"{found.count('win')} won, {found.count('tie', 'turned', 'same')} tied, {found.count('loss')} lost",
        f"asked at {there.shown}",
    ]
    for count, words in (
        (found.count("turned"), "verdicts turned with the order and count as ties"),
        (found.count("same"), "rows were answered alike and weren't sent"),
        (found.count("unreadable"), "rows got a reply that was no verdict, and don't count"),
        (found.count("unanswered"), "rows stayed unanswered, and don't count"),
    ):
        if count:
            parts.append(f"{count} {words}")
    return TaskResult(
        name=there.model,
        source="endpoint",
        measure="wins less losses",
        rows=values.shape[1],
        base=None,
        tuned=None,
        difference=rows.estimate("margin").interval,
        remark="; ".join([*parts, *found.faults]),
    )


def _paired(base: Sequence[float], tuned: Sequence[float]) -> tuple[float, float, Interval]:
    """Hold the same rows' values against each other. Returns: (the base's mean, the tuned model's, the difference)."""
    series: dict[Hashable, Floats] = {
        "base": np.array([base], dtype=np.float64),
        "tuned": np.array([tuned], dtype=np.float64),
    }
    rows = SameRows(np.ones(len(base)), series, DRAWN_BY)
    return rows.mean("base"), rows.mean("tuned"), rows.difference("tuned", "base").interval
