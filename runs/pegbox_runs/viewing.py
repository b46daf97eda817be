"""Looking at runs from any process: their state now, whether they still live, and what comes next."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from pegbox_methods.events import UNDECODABLE, AnyEvent, Queued, Started
from pegbox_runs.event_log import BadLine, EventReader
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, catch_up, fold
from pegbox_runs.summary import Summary, summarise
from pegbox_runs.supervision.owner import read_owner

POLL_SECONDS = 0.2
ALIVE_SECONDS = 1.0
"""Between two looks whether anybody still carries a run."""
SUMMARY_SECONDS = 10.0
TAKING_SECONDS = 40.0
"""How long a new run may be without a supervisor: twice what is waited for one (`launch.ANSWER_SECONDS`)."""


class Advance(NamedTuple):
    """What is new in a log, and the state after it."""

    news: list[AnyEvent | BadLine]
    state: RunState
    share: float = 1.0
    """Of the log, what is read. Below 1 only while it is read for the first time."""


def state_of(folder: RunFolder) -> RunState:
    """Fold a run's whole log, and call it lost if it tells no end and nobody carries it any more."""
    return mark_lost(catch_up(EventReader(folder.events), RunState()), folder)


def summary_of(folder: RunFolder) -> Summary:
    """Give a run's figures: from its summary where it has ended, else from its log."""
    try:
        return msgspec.json.decode(folder.summary.read_bytes(), type=Summary)
    except (OSError, *UNDECODABLE):
        return summarise(folder.id, state_of(folder))


def follow(folder: RunFolder, left: threading.Event | None = None) -> Iterator[Advance]:
    """Give all that has happened, block by block, and then what happens, until the run has ended or is lost.

    What is there at the beginning ends with an advance whose share is 1, though it may hold no news.
    An end that the log already goes on behind, since the run was continued, ends nothing.
    A run whose folder goes meanwhile ends with a state that is `deleted`.
    Another thread may set `left` to end the following, at once if it is waiting.
    """
    left = left or threading.Event()
    reader = EventReader(folder.events)
    state = RunState()
    lost = False
    look_at = 0.0
    whole = False
    """Whether the log was read to its end once."""
    while not left.is_set():
        last_seen = state
        for news in reader.new():
            state = fold(news, state)
            whole = whole or reader.share == 1.0
            yield Advance(news, state, 1.0 if whole else reader.share)
            if left.is_set():
                return
        if not whole:  # nothing is there yet, or its last line isn't
            whole = True
            yield Advance([], state)
        if state.over:
            _await_summary(folder, state, left)
            return
        if lost and state is last_seen:
            yield Advance([], mark_lost(state, folder))
            return
        # Looked at before the log is read once more: the end may have been written just before the process went.
        if lost or time.monotonic() >= look_at:
            look_at = time.monotonic() + ALIVE_SECONDS
            if is_deleted(folder):
                yield Advance([], msgspec.structs.replace(state, deleted=True))
                return
            lost = mark_lost(state, folder).status == "lost"
        if not lost:
            left.wait(POLL_SECONDS)


def is_deleted(folder: RunFolder) -> bool:
    """Tell whether a run's folder is gone; one that can't be looked at just now is there."""
    try:
        folder.path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _await_summary(folder: RunFolder, state: RunState, left: threading.Event) -> None:
    """Let the supervisor finish its record, so that who followed a run to its end finds the folder whole."""
    deadline = time.monotonic() + SUMMARY_SECONDS
    while not folder.summary.exists() and time.monotonic() < deadline:
        if not _is_carried(state, folder) or left.wait(0.02):
            return


def mark_lost(state: RunState, folder: RunFolder) -> RunState:
    """Change the status to `lost` where a run told no end and nobody carries it.

    That is so where its supervisor and its worker are gone, or where no supervisor took it in the time that takes.
    """
    if state.over or _is_carried(state, folder):
        return state
    return msgspec.structs.replace(state, status="lost")


def _is_carried(state: RunState, folder: RunFolder) -> bool:
    """Tell whether a supervisor or a worker of the run lives.

    The log alone isn't enough: the supervisor that took a run from a dead one is named by owner.json. One on another
    host counts as living as long as that file names it, for it can't be seen from here; a person may remove the file.
    """
    owner = read_owner(folder)
    if owner is not None and (owner.elsewhere or owner.lives or owner.worker_lives):
        return True
    if owner is None and _unreadable(folder):
        return True
    if state.started is not None and is_alive(state.started):
        return True
    if state.status == "queued" and state.queued is not None:
        return _waits(state.queued)
    return state.started is None and _is_young(folder)


def is_alive(started: Started) -> bool:
    """Tell whether a run's supervisor or worker still runs, on this host."""
    return started.host == socket.gethostname() and (
        process_mark(started.supervisor_pid) == started.supervisor_mark
        or process_mark(started.worker_pid) == started.worker_mark
    )


def _waits(queued: Queued) -> bool:
    return queued.host == socket.gethostname() and process_mark(queued.supervisor_pid) == queued.supervisor_mark


def _unreadable(folder: RunFolder) -> bool:
    """Tell whether owner.json can't be opened just now though it may be there, as on a network file system."""
    try:
        folder.owner.open("rb").close()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _is_young(folder: RunFolder) -> bool:
    try:
        return time.time() - folder.recipe.stat().st_mtime < TAKING_SECONDS
    except OSError:
        return True  # it can't be seen just now, as on a network file system
