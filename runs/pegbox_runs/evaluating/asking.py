"""What the worker is asked for an evaluation, and what it gives back; and which rows those are."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pegbox_methods.home import user_path
from pegbox_methods.recipe import Allowed, Judging, Metric, Recipe, Rows, Split
from pegbox_methods.recipe_file import BUNDLED_GENERAL, portable
from pegbox_methods.refusal import Refusal
from pegbox_runs.evaluating.evaluated import Computed, EvaluatedRow, RowsTold
from pegbox_runs.judging.judged import Judgement
from pegbox_runs.rows.loading import FoundRows, find_rows
from pegbox_runs.tuned import TunedRun

SHOWN_ROWS = 10
"""Rows that gained most, and as many that lost most."""
METRICS: tuple[Metric, ...] = ("exact-match", "token-f1", "rouge-l")
ALLOWED: tuple[Allowed, ...] = ("rejected-rows", "untrained-rows", "few-trained-tokens", "end-not-learned")
"""What makes rows bad to learn from, and not to be held against."""


class EvaluateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation."""

    run: str
    """The run's folder."""
    base: str | None = None
    """Where the base lies now, if it was moved."""
    file: str | None = None
    """Rows in place of the run's own held-out ones."""
    limit: int | None = None
    """Only the first so many."""
    metrics: tuple[Metric, ...] = METRICS
    answers: int | None = None
    """Questions that are answered, the first ones; None: as many as the run's recipe says of its own judging."""
    answer_batch: int | None = None
    """Questions that are answered at once; None: as many as suits the device."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker saw."""

    base: Judgement
    tuned: Judgement
    rows: RowsTold
    computed: Computed
    gained: tuple[EvaluatedRow, ...]
    lost: tuple[EvaluatedRow, ...]


def judged_recipe(run: TunedRun, asked: EvaluateRequest) -> Recipe:
    """Give the recipe by which the rows are read: the run's own, or one that holds a file's rows as those to train.

    In either, general rows are judged by: those of the run, or ours.
    """
    recipe = run.recipe
    general = recipe.judging.general or BUNDLED_GENERAL
    judging = Judging(rows=True, general=general, answers=recipe.judging.answers)
    if asked.file is None:
        return msgspec.structs.replace(recipe, judging=judging)
    rows = Rows(
        file=asked.file,
        format=recipe.rows.format,
        columns=recipe.rows.columns,
        allow=ALLOWED,
    )
    training = msgspec.structs.replace(recipe.training, order="shuffled")
    return msgspec.structs.replace(recipe, rows=rows, split=Split(share=0.0), training=training, judging=judging)


def find_judged_rows(run: TunedRun, asked: EvaluateRequest) -> tuple[Recipe, FoundRows]:
    """Find the rows to hold a run against, and the recipe by which they are read.

    Raises: Refusal: the run held none out, or they can't be told any more; a file can't be read.
    """
    recipe = judged_recipe(run, asked)
    return recipe, find_own_rows(run) if asked.file is None else find_rows(recipe)


def read_by_looks(recipe: Recipe) -> Recipe:
    """Give the recipe by which rows are recognised by what they look like, not by what the run's own looked like."""
    rows = msgspec.structs.replace(recipe.rows, format="auto", columns={})
    return msgspec.structs.replace(recipe, rows=rows)


def find_own_rows(run: TunedRun) -> FoundRows:
    """Find the files that a run's held-out rows came from, as they were.

    Raises: Refusal: it held no rows out; a file is gone, or was changed since.
    """
    recipe = run.recipe
    if not recipe.split.share and recipe.split.file is None:
        raise Refusal(
            f"{run.id}: held no rows out (split.share = 0), so there are none of its own that it wasn't trained on. "
            "Give some with --rows FILE."
        )
    return find_rows_as_they_were(run)


def find_rows_as_they_were(run: TunedRun) -> FoundRows:
    """Find the files that a run's rows came from, whether it held some of them out or not.

    Raises: Refusal: a file is gone, or was changed since.
    """
    recipe, told = run.recipe, run.environment
    other = "or hold the run against other rows with --rows FILE."
    try:
        found = find_rows(recipe)
    except Refusal as refusal:
        said = refusal.sentence if refusal.sentence.endswith((".", "?")) else f"{refusal.sentence}."
        raise Refusal(f"{said} Put back what {run.id} was trained on, {other}") from None
    for now, then, file in (
        (found.sha256, told.rows_sha256, recipe.rows.file),
        (found.held_out_sha256, told.held_out_sha256, recipe.split.file or ""),
    ):
        if now != then:
            raise Refusal(
                f"{portable(file)}: was changed since {run.id} was trained on it, so nothing tells its held-out rows "
                f"from those that it learned. Put back the file that was there, {other}"
            )
    return found


def absolute(file: str) -> str:
    """Read a file's name as a person writes it, from here; a Hub id stays one.

    Raises: Refusal: "~somebody" of whom this machine knows nothing.
    """
    path = user_path(file)
    return str(path.absolute()) if path.exists() else file


def file_name(file: str) -> str:
    """Name rows for people, without the folder that they lie in; a Hub id whole."""
    return Path(file).name if Path(file).is_absolute() else file
