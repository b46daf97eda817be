"""What a supervisor writes into a run's folder; a disk that is full or gone stops none of it."""

from __future__ import annotations

import contextlib
import os
import socket
from importlib.metadata import version
from typing import Literal

from pegbox_methods.events import Event, Finished, Queued, Started
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import portable
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, catch_up
from pegbox_runs.secrets import clean_file
from pegbox_runs.summary import summarise, write_summary
from pegbox_runs.supervision.worker import Worker


def tell(folder: RunFolder, *events: Event) -> None:
    """Append events while no worker does."""
    with contextlib.suppress(OSError):
        writer = EventWriter(folder.events)
        try:
            for event in events:
                writer.emit(event)
        finally:
            writer.close()


def started(folder: RunFolder, recipe: Recipe, worker: Worker, attempt: int) -> Started:
    """Say which processes carry the run from now on."""
    return Started(
        run=folder.id,
        method=recipe.method.name,
        model=portable(recipe.model.name),
        host=socket.gethostname(),
        supervisor_pid=os.getpid(),
        supervisor_mark=process_mark(os.getpid()) or "",
        worker_pid=worker.pid,
        worker_mark=worker.mark,
        version=version("pegbox"),
        attempt=attempt,
    )


def queued(place: int) -> Queued:
    """Say that a run waits for others."""
    pid = os.getpid()
    return Queued(place=place, host=socket.gethostname(), supervisor_pid=pid, supervisor_mark=process_mark(pid) or "")


def finished(reason: Literal["stopped", "aborted"], state: RunState) -> Finished:
    """End a run that has no worker: what is trained stays in its checkpoints."""
    return Finished(reason=reason, steps=state.steps_done, kept_step=0, adapter=None, seconds=state.training_seconds)


def where(state: RunState) -> str:
    """Say in which phase a run is, and at which step if training had begun."""
    step = f" at step {state.steps_done}" if state.steps_done else ""
    return f"{state.phase.phase if state.phase else 'starting'}{step}"


def conclude(folder: RunFolder) -> RunState:
    """Write the record of a run that is over. Returns: its state."""
    clean_file(folder.log)
    state = catch_up(EventReader(folder.events), RunState())
    with contextlib.suppress(OSError):
        write_summary(summarise(folder.id, state), folder.summary)
    return state
