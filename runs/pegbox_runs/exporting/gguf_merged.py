"""The merged model that a GGUF file is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pegbox_runs.artefacts.artefact import Artefact, read_artefact
from pegbox_runs.artefacts.making import is_whole
from pegbox_runs.artefacts.merging import merge_run, merge_there, merged_place
from pegbox_runs.artefacts.weight_files import stored_tensors
from pegbox_runs.exporting.gguf_way import weights_of
from pegbox_runs.exporting.targets import Told
from pegbox_runs.tuned import TunedRun


@dataclass(frozen=True)
class Merged:
    """It, and where it lies."""

    artefact: Artefact
    folder: Path


def merged_of(run: TunedRun, told: Told, *, prove: bool) -> Merged:
    """Give the run's merged model, made now if it isn't there.

    One that somebody had made in another number format serves too.
    Raises: Refusal; JobFailed.
    """
    place = merged_place(run)
    found = merge_there(run, place)
    if found is not None and (found[0].proven or not prove):
        return Merged(found[0], place)
    dtype = "auto" if found is None else found[1]
    return Merged(merge_run(run, place, dtype=dtype, prove=prove, told=told), place)


def merged_bytes(run: TunedRun) -> int:
    """Estimate what making it takes on the disk; 0: it is there."""
    if _seems_there(run):
        return 0
    if run.model.complete:
        stored = stored_tensors(run.model.folder / file for file in run.model.weight_files)
        return sum(one.bytes for one in stored.values())
    return math.ceil(2 * weights_of(run)[0])


def _seems_there(run: TunedRun) -> bool:
    """Tell it without reading all of its weights; `merged_of` reads them."""
    place = merged_place(run)
    found = read_artefact(place)
    return found is not None and (found.target, found.run) == ("merged", run.id) and is_whole(place)
