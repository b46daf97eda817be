"""What a worker finds of those before it: the checkpoint to go on from, and the device they had."""

from __future__ import annotations

from typing import cast, get_args

import msgspec
import torch

from pegbox_methods.events import Notice, Resumed
from pegbox_methods.recipe import Precision, Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.checkpoints import GoodCheckpoint, Rejected, checkpoint_folders, newest_good
from pegbox_runs.event_log import EventWriter
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_worker.precision import decide, this_device


class DeviceGone(RuntimeError):
    """The run was on a GPU, and this worker has none."""


def checkpoint_to_go_on_from(folder: RunFolder, state: RunState, writer: EventWriter) -> GoodCheckpoint | None:
    """Find it, and tell where the run goes on; a run's first worker begins, and tells nothing.

    The log alone doesn't say which worker this is: a full disk may have kept a `started` from it. So a worker is the
    first only if none before it told a phase or began a checkpoint.
    None: the run begins with its first step.
    """
    first = state.started is None or state.started.attempt == 1
    if first and state.phase is None and not any(checkpoint_folders(folder.checkpoints)):
        return None
    found, rejected = newest_good(folder)
    if found is None:
        writer.emit(Resumed(step=0, folder=None))
    else:
        done = found.progress
        writer.emit(
            Resumed(
                step=found.step,
                folder=found.path.relative_to(folder.path).as_posix(),
                tokens=done.tokens,
                padding=done.padding,
                training_seconds=done.training_seconds,
            )
        )
        if done.step > state.steps_done:
            text = f"{done.step - state.steps_done} steps before this are missing here: the log could not be written"
            writer.emit(Notice(text=text, about="log-gap"))
    for one in rejected:
        writer.emit(_notice(one, found))
    return found


def device_to_go_on_with(state: RunState, here: torch.device | None = None) -> torch.device:
    """Give the device of this worker: of the same kind as that of the workers before it.

    `here`: where this process would train by itself; None: it is the only one.
    Raises: DeviceGone: they had a GPU, and there is none. A run never moves to a CPU by itself: it would take days
    where it took hours, and give other numbers.
    """
    here = here or this_device()
    before = None if state.prepared is None else torch.device(state.prepared.device)
    if before is None or before.type == here.type:
        return here
    if before.type == "cpu":
        return before
    raise DeviceGone(f"the run was on {before}, and no CUDA GPUs are available to its new worker")


def recipe_to_go_on_with(recipe: Recipe, state: RunState, device: torch.device) -> Recipe:
    """Write the number format that `auto` was for the workers before into the recipe: it is the run's from then on.

    Raises: Refusal: this device can't train in it.
    """
    before = None if state.prepared is None else state.prepared.precision
    if recipe.training.precision != "auto" or before not in get_args(Precision):
        return recipe
    try:
        decide(cast(Precision, before), device)
    except Refusal as refusal:
        raise Refusal(
            f"the run was begun in '{before}', by training.precision = 'auto', and can't go on in another number "
            f"format. Continue it on a machine as it was begun on. Here: {refusal.sentence}"
        ) from None
    return msgspec.structs.replace(recipe, training=msgspec.structs.replace(recipe.training, precision=before))


def _notice(rejected: Rejected, found: GoodCheckpoint | None) -> Notice:
    instead = "begins anew" if found is None else f"goes on from step {found.step}"
    text = f"{rejected.path.name} can't be used ({one_line(rejected.reason, 200)}); the run {instead}."
    return Notice(text=text, about="checkpoint-rejected")
