"""A run's adapter folded into its base model, as a folder that every tool can load, and the proof that it is the same.

The work is done by the worker's job `merge`; here are what it is asked, and what is refused before it begins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from pegbox_methods.events import Event
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact, NumberFormatName
from pegbox_runs.changes import current_recipe
from pegbox_runs.jobs import ask_worker
from pegbox_runs.tuned import TunedRun

Dtype = NumberFormatName | Literal["auto"]


class MergeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the job `merge` is asked."""

    run: str
    """The run's folder."""
    base: str | None
    """Where the base lies now, if it was moved."""
    place: str
    dtype: Dtype
    prove: bool


class MergeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What it answers: one of the two."""

    artefact: Artefact | None = None
    refused: str = ""


def merged_place(run: TunedRun) -> Path:
    """Give the folder that a run's merged model lies in where no other is named."""
    return run.folder.path / "exports" / "merged"


def merge_run(
    run: TunedRun,
    place: Path,
    *,
    dtype: Dtype = "auto",
    prove: bool = True,
    told: Callable[[Event], None] | None = None,
    left: threading.Event | None = None,
) -> Artefact:
    """Merge a run into a folder, and prove it. Where the very same lies there, whole and proven, nothing is done.

    What lies there unproven is proven now, if `prove`. A failed proof raises nothing: see `Artefact.proven`.
    `dtype`: of the weights; `auto`: the one that the base was published in.
    Raises: Refusal: the method can't be merged, there is no room, something else lies there. JobFailed.
    """
    if "merge" in run.card.cannot:
        raise Refusal(f'{run.id}: the method "{run.card.name}" can\'t be merged: {run.card.cannot["merge"]}.')
    moved = run.recipe.model.name != current_recipe(run.folder).model.name
    request = MergeRequest(
        run=str(run.folder.path.absolute()),
        base=run.recipe.model.name if moved else None,
        place=str(place.absolute()),
        dtype=dtype,
        prove=prove,
    )
    answer = ask_worker("merge", request, MergeAnswer, timeout_seconds=None, told=told, left=left)
    if answer.artefact is None:
        raise Refusal(answer.refused)
    return answer.artefact
