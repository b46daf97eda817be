"""A run's adapter folded into its base model, as a folder that every tool can load, and the proof that it is the same.

The work is done by the worker's job `merge`; here are what it is asked, and what is refused before it begins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import msgspec

from pegbox_methods.events import Event
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact, NumberFormatName, read_artefact
from pegbox_runs.artefacts.making import is_unharmed, order_of
from pegbox_runs.artefacts.template import taught_template
from pegbox_runs.jobs import ask_worker
from pegbox_runs.models import FoundModel
from pegbox_runs.tuned import TunedRun

Dtype = NumberFormatName | Literal["auto"]
FORM = 1
"""Raised when the same order would be carried out otherwise."""


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
    return run.folder.exports / "merged"


def merge_order(run: TunedRun, model: FoundModel, dtype: Dtype) -> str:
    """Hash all that decides what a run's merged model is. `model`: the base, with its weights.

    Raises: Refusal: the recipe's chat template is gone. OSError.
    """
    base = (model.sha256(), model.weights_sha256())
    return order_of(FORM, "merged", run.id, run.adapter_sha256(), *base, dtype, taught_template(run))


def merge_there(run: TunedRun, place: Path) -> tuple[Artefact, Dtype] | None:
    """Find a run's merged model at a place, in whatever number format; None: something else lies there, or nothing.

    It is of this run, adapter, base and chat template as they are now, and no byte of it has changed since. All of it
    is read for that.
    Returns: (its record, the number format that was asked for).
    Raises: Refusal: the recipe's chat template is gone. OSError.
    """
    found = read_artefact(place)
    if found is None or (found.target, found.run) != ("merged", run.id):
        return None
    dtypes: tuple[Dtype, ...] = ("auto", *get_args(NumberFormatName))
    asked = next((dtype for dtype in dtypes if found.order == merge_order(run, run.model, dtype)), None)
    return None if asked is None or not is_unharmed(place) else (found, asked)


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
    request = MergeRequest(
        run=str(run.folder.path.absolute()),
        base=run.moved_base,
        place=str(place.absolute()),
        dtype=dtype,
        prove=prove,
    )
    answer = ask_worker("merge", request, MergeAnswer, timeout_seconds=None, told=told, left=left)
    if answer.artefact is None:
        raise Refusal(answer.refused)
    return answer.artefact
