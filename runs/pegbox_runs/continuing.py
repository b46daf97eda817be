"""Going on with a run that nobody carries any more: stopped, failed, aborted, lost, or finished and to go further."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from pegbox_hardware.machine import probe
from pegbox_methods.abilities import inabilities
from pegbox_methods.events import Change, Finished, Replanned
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Fault, Refusal, refuse_faults
from pegbox_methods.registry import find_card
from pegbox_runs.arena.comparison_folder import ComparisonFolder, comparison_of
from pegbox_runs.arena.directing.start import continue_director
from pegbox_runs.changes import CHANGEABLE, Revision, add_revision, current_recipe, overrides, revisions
from pegbox_runs.checkpoints import newest_good
from pegbox_runs.crew.lacking import lacking
from pegbox_runs.crew.nodes.place import read_nodes
from pegbox_runs.event_log import EventReader
from pegbox_runs.faults import now
from pegbox_runs.launch import launch
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, catch_up
from pegbox_runs.supervision.adopting import adopt
from pegbox_runs.supervision.owner import OwnerRecord, Ownership, owned_already, read_owner
from pegbox_runs.supervision.telling import tell

KEPT = {
    "training.length": "the rows would be cut elsewhere",
    "training.order": "the rows would come in other steps",
    "training.precision": "the numbers would be of another format",
}
"""What a run that goes on keeps all the same, and why: its losses couldn't be compared with those before."""

RELEASE_SECONDS = 3.0
"""How long a supervisor that has told a run's end has to write its summary and let go of it."""


def continue_run(
    folder: RunFolder, *, epochs: float | None = None, max_steps: int | None = None, sets: Sequence[str] = ()
) -> None:
    """Start a supervisor on a run that has none; what is changed is told in the run's log and kept in its folder.

    A worker that lives without a supervisor gets one, if nothing is to be changed. A comparison's supervisor is its
    director, which goes on with all its entries.

    Raises: Refusal: somebody carries it, there is nothing left to do, or a change can't be made.
    """
    asked = [
        *sets,
        *([] if epochs is None else [f"training.epochs={epochs}"]),
        *([] if max_steps is None else [f"training.max_steps={max_steps}"]),
    ]
    if isinstance(folder, ComparisonFolder):
        _refuse_changed(folder, asked)
        continue_director(folder)
        return
    _refuse_entry(folder)
    state = catch_up(EventReader(folder.events), RunState())
    owner = _owner(folder, state)
    if owner is not None and (owner.elsewhere or owner.lives):
        raise owned_already(folder, owner)
    worker = _orphan(owner, state)
    if worker is not None:
        if asked:
            raise owned_already(folder, worker)
        adopt(folder)
        return
    _refuse_spoilt_checkpoints(folder)
    ownership = Ownership.take(folder)
    try:
        changes = _changes(folder, state, asked)
        if changes:
            add_revision(folder, Revision(time=now(), step=state.steps_done, why="asked", changes=changes))
            text = "; ".join(f"{change.key} is {change.after} in place of {change.before}" for change in changes)
            tell(folder, Replanned(step=state.steps_done, why="asked", changes=changes, text=text))
    except OSError as error:
        raise Refusal(f"{folder.changes}: can't be written: {error.strerror}. Nothing was started.") from error
    finally:
        ownership.release()
    launch([folder])


def _refuse_changed(folder: ComparisonFolder, asked: Sequence[str]) -> None:
    """Refuse to go on under other settings than what is done already. Raises: Refusal."""
    if asked:
        raise Refusal(
            f"{folder.id} is a comparison, and goes on as it was asked for: with {asked[0]} its trainings couldn't be "
            "compared any more. Start a new one with `pegbox compare`."
        )


def _refuse_entry(folder: RunFolder) -> None:
    """Refuse what belongs to a comparison, which would count it. Raises: Refusal."""
    comparison = comparison_of(folder)
    if comparison is not None:
        raise Refusal(
            f"{folder.id} is part of a comparison: `pegbox resume {comparison.id}` goes on with that. To train it on "
            "its own, start a new run from its recipe.toml with `pegbox train`."
        )


def _owner(folder: RunFolder, state: RunState) -> OwnerRecord | None:
    """Read who carries the run; one that has just told its end is let finish with it."""
    deadline = time.monotonic() + RELEASE_SECONDS
    while True:
        owner = read_owner(folder)
        if owner is None or not state.over or not owner.lives or time.monotonic() > deadline:
            return owner
        time.sleep(0.05)


def _refuse_spoilt_checkpoints(folder: RunFolder) -> None:
    """Let a person decide whether a run that was saved, and can't be taken up any more, begins with its first step.

    Raises: Refusal.
    """
    found, rejected = newest_good(folder)
    if found is None and rejected:
        newest = rejected[0]
        raise Refusal(
            f"no checkpoint of {folder.id} can be used; the newest is {newest.path.name}: "
            f"{one_line(newest.reason, 200)}. Remove the folder {folder.checkpoints.name} in the run's folder to begin "
            "it anew, or start a new run from its recipe.toml with `pegbox train`."
        )


def _orphan(owner: OwnerRecord | None, state: RunState) -> OwnerRecord | None:
    """Find the run's worker that outlived its supervisor, in the form of a record."""
    if state.over:
        return None
    if owner is not None and owner.worker_lives:
        return owner
    told = state.started
    if told is None:
        return None
    record = OwnerRecord(
        host=told.host,
        pid=told.supervisor_pid,
        process_mark=told.supervisor_mark,
        worker_pid=told.worker_pid,
        worker_mark=told.worker_mark,
    )
    return record if record.worker_lives else None


def _changes(folder: RunFolder, state: RunState, asked: Sequence[str]) -> tuple[Change, ...]:
    """Check what is asked against the recipe and what is done.

    Raises: Refusal.
    """
    before = current_recipe(folder)
    for override in asked:
        _refuse_other_run(override)
    known = [override for revision in revisions(folder) for override in overrides(revision.changes)]
    after = read_recipe(folder.recipe, [*known, *asked])
    keys = list(dict.fromkeys(override.partition("=")[0].strip() for override in asked))
    changes = tuple(
        Change(key=key, before=_value(before, key), after=_settable(key, _value(after, key)))
        for key in keys
        if _value(before, key) != _value(after, key)
    )
    _refuse_done(folder, state, after, keys)
    _refuse_lacking(folder, after, asked=any(key.startswith("devices.") for key in keys))
    return changes


def _refuse_lacking(folder: RunFolder, after: Recipe, *, asked: bool) -> None:
    """Refuse processes that this machine can't carry, or the method, where others are `asked` for. Raises: Refusal."""
    nodes = read_nodes(folder)
    count = 1 if nodes is None else nodes.nodes
    file = "--set" if asked else str(folder.recipe)
    wrong: list[Fault] = []
    if asked:
        card = find_card(after.method.name)
        wrong += inabilities(after, card, file=file, processes=after.devices.processes)
    if after.devices.launched:
        wrong += lacking(after, probe(), file=file, nodes=count)
    refuse_faults(fault for fault in wrong if fault.key.startswith("devices."))


def _refuse_other_run(override: str) -> None:
    key, equals, _ = override.partition("=")
    key = key.strip()
    if not equals:
        raise Refusal(f"--set {override}: expected SECTION.KEY=VALUE, as in training.epochs=3.")
    if key.partition(".")[0] not in CHANGEABLE:
        raise Refusal(
            f"--set {override}: a run that goes on keeps its {key.partition('.')[0]}; what can change is in "
            f"{', '.join(CHANGEABLE)}. Start a new run with `pegbox train` for the rest."
        )
    if key in KEPT:
        raise Refusal(f"--set {override}: {KEPT[key]}, which makes another run. Start that with `pegbox train`.")


def _refuse_done(folder: RunFolder, state: RunState, after: Recipe, keys: Sequence[str]) -> None:
    """Refuse where nothing is left to train.

    Raises: Refusal.
    """
    training = after.training
    epochs_done = _epochs_done(state)
    completed = isinstance(state.ended, Finished) and state.ended.reason == "completed"
    if "training.max_steps" in keys and training.max_steps is not None and training.max_steps <= state.steps_done:
        raise Refusal(f"{folder.id} has done {state.steps_done} steps; --max-steps must be more than that.")
    if "training.epochs" in keys and training.epochs <= epochs_done:
        raise Refusal(f"{folder.id} has done {epochs_done:.4g} epochs; --epochs must be more than that.")
    if not completed:
        return
    if not {"training.epochs", "training.max_steps"} & set(keys):
        raise Refusal(
            f"{folder.id} has finished: {state.steps_done} steps, {epochs_done:.4g} epochs. "
            "Give --epochs or --max-steps to train it further."
        )
    if training.max_steps is not None and training.max_steps <= state.steps_done:
        raise Refusal(
            f"{folder.id} ends after {training.max_steps} steps whatever its epochs, since its recipe says so. "
            "Give --max-steps."
        )
    if training.epochs <= epochs_done:
        raise Refusal(f"{folder.id} has done all its {training.epochs:g} epochs, which end it. Give --epochs.")


def _epochs_done(state: RunState) -> float:
    """Give the epochs of the steps that count: a run that went back has told more of them than it has done."""
    return state.step.epoch * state.steps_done / state.step.step if state.step is not None else 0.0


def _value(recipe: Recipe, key: str) -> Any:
    value: Any = msgspec.to_builtins(recipe)
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _settable(key: str, value: Any) -> str | int | float:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    raise Refusal(f"--set {key}: only one word or number can be changed in a run that goes on.")
