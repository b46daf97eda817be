"""What the worker is asked for measures from outside, and what it gives back."""

from __future__ import annotations

import msgspec

from pegbox_runs.evaluating.asking import EvaluateRequest
from pegbox_runs.evaluating.outside.judge import Pair


class TasksRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask both models the questions of plugins' tasks, and score the answers."""

    run: str
    """The run's folder."""
    base: str | None = None
    """Where the base lies now, if it was moved."""
    tasks: tuple[str, ...]
    """By name."""
    batch: int | None = None
    """Questions that are answered at once; None: as many as suits the device."""


class TaskScores(msgspec.Struct, frozen=True, kw_only=True):
    """Both models' scores in one task, row by row."""

    name: str
    higher_is_better: bool = True
    base: tuple[float, ...] = ()
    tuned: tuple[float, ...] = ()
    left_out: int = 0
    """Rows that leave no room for an answer."""
    fault: str = ""
    """Why there are no scores; the task's own code may fail in any way."""


class PairsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Ask both models the questions that a judge is to compare their answers to."""

    asked: EvaluateRequest
    """Of which rows; `answers` says how many."""


class HarnessRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold both models against tasks of lm-eval."""

    run: str
    """The run's folder."""
    base: str | None = None
    """Where the base lies now, if it was moved."""
    tasks: tuple[str, ...]
    folder: str | None = None
    """Of tasks of the user's own; what they read lies relative to it."""
    allow_code: bool = False
    """Whether such tasks may bring Python code."""
    fetch: bool = False
    """Whether data sets may be fetched from the Hub."""
    limit: int | None = None
    """Rows of each task."""
    chat: bool = False
    """Whether questions are put into the model's chat template."""
    only_look: bool = False
    """Whether it is only looked for the tasks, without a model."""


class HarnessFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of one task of lm-eval's."""

    task: str
    measure: str
    higher_is_better: bool = True
    rows: int
    base: float | None
    """As the harness sums it up; None: that is no finite number."""
    tuned: float | None
    base_values: tuple[float, ...] = ()
    """Row by row, where the figure is their mean; else empty."""
    tuned_values: tuple[float, ...] = ()
    base_error: float | None = None
    """Standard error by the harness; None: it gives none."""
    tuned_error: float | None = None


TASKS_ANSWER = list[TaskScores]
PAIRS_ANSWER = list[Pair]
HARNESS_ANSWER = list[HarnessFigure]
