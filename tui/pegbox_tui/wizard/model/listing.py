"""Collecting what there is to choose from, and judging it: what the model step does in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from pegbox_hardware.disk import Disk
from pegbox_methods.advice.records import Place
from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_runs.drafts import Draft
from pegbox_runs.fitting import Fit
from pegbox_runs.hub_search import search_hub, token_is_here
from pegbox_runs.models import find_config, find_model
from pegbox_tui.wizard.model.entries import (
    Entry,
    bundled_entries,
    cached_entry,
    catalogue_entries,
    hub_entry,
    taken_entry,
)
from pegbox_tui.wizard.model.messages import Checked, HubAnswered, Listed
from pegbox_tui.wizard.workbench import Workbench

TOLD_EVERY_SECONDS = 0.1


def listed(draft: Draft, bench: Workbench) -> Listed:
    """List all models but the Hub's, the draft's first where no list holds it."""
    faults: list[str] = []
    place: Place | None = None
    disk: Disk | None = None
    try:
        place = bench.place(draft)
    except Refusal as refusal:
        faults.append(refusal.sentence)
    with suppress(Exception):  # that the machine can't be read is the first step's word
        disk = next((disk for disk in bench.machine().disks if disk.what == "models"), None)
    scan = bench.cached_models()
    entries = [*bundled_entries(), *(cached_entry(cached) for cached in scan.models)]
    entries += catalogue_entries(entries)
    if draft.model is not None and not any(entry.model == draft.model for entry in entries):
        entries.insert(0, taken_entry(draft.model, None))
    return Listed(tuple(entries), place, disk, token_is_here(), (*faults, *scan.faults))


def judged(
    entries: Sequence[Entry], known: Mapping[str, Fit], draft: Draft, bench: Workbench, left: Callable[[], bool]
) -> Iterator[dict[str, Fit]]:
    """Judge the models in this order; gives all verdicts so far, every now and then and at the end."""
    fits = dict(known)
    told = monotonic()
    for entry in entries:
        if left():
            return
        if entry.found is None or entry.id in fits:
            continue
        try:
            fits[entry.id] = bench.fit(draft, entry.found)
        except Refusal as refusal:
            fits[entry.id] = Fit(why=refusal.sentence)
        except Exception as error:  # noqa: BLE001 - a config of anybody's may break a forecast, but not the list
            fits[entry.id] = Fit(why=f"{type(error).__name__}: {error}"[:200])
        if monotonic() - told >= TOLD_EVERY_SECONDS:
            told = monotonic()
            yield dict(fits)
    yield fits


def hub_answer(words: str, left: Callable[[], bool]) -> HubAnswered:
    """Search the Hub; a refusal is an answer too."""
    try:
        return HubAnswered(words, tuple(hub_entry(model) for model in search_hub(words, given_up=left)))
    except Refusal as refusal:
        return HubAnswered(words, refusal=refusal.sentence)


def checked(model: Model, *, to_take: bool) -> Checked:
    """Look at a model, never from memory: a folder whole, as it may have changed; one of the Hub by its config."""
    try:
        found = find_model(model) if Path(model.name).is_absolute() else find_config(model)
    except Refusal as refusal:
        return Checked(model, to_take, refusal=refusal.sentence)
    except Exception as error:  # noqa: BLE001 - a disk or a library may raise anything
        return Checked(model, to_take, refusal=f"{model.name}: {type(error).__name__}: {error}")
    return Checked(model, to_take, found)
