"""Looking at runs from any process: their state now, whether they still live, and what comes next."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import psutil

from pegbox_methods.events import AnyEvent, Started
from pegbox_runs.event_log import BadLine, EventReader
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, catch_up, fold
from pegbox_runs.summary import Summary, summarise

POLL_SECONDS = 0.2
CLOCK_SLACK = 2.0
SUMMARY_SECONDS = 10.0


class Advance(NamedTuple):
    """What is new in a log, and the state after it."""

    news: list[AnyEvent | BadLine]
    state: RunState


def state_of(folder: RunFolder) -> RunState:
    """Fold a run's whole log, and call it lost if it tells no end and nobody carries it any more."""
    return mark_lost(catch_up(EventReader(folder.events), RunState()))


def summary_of(folder: RunFolder) -> Summary:
    """Give a run's figures: from its summary where it has ended, else from its log."""
    try:
        return msgspec.json.decode(folder.summary.read_bytes(), type=Summary)
    except (OSError, msgspec.MsgspecError):
        return summarise(folder.id, state_of(folder))


def follow(folder: RunFolder, left: threading.Event | None = None) -> Iterator[Advance]:
    """Give all that has happened, block by block, and then what happens, until the run has ended or is lost.

    Another thread may set `left` to end the following, at once if it is waiting.
    """
    left = left or threading.Event()
    reader = EventReader(folder.events)
    state = RunState()
    lost = False
    while not left.is_set():
        last_seen = state
        for news in reader.new():
            state = fold(news, state)
            yield Advance(news, state)
            if left.is_set():
                return
        if state.over:
            _await_summary(folder, state)
            return
        if lost and state is last_seen:
            yield Advance([], mark_lost(state))
            return
        # Looked at before the log is read once more: the end may have been written just before the process went.
        lost = mark_lost(state).status == "lost"
        if not lost:
            left.wait(POLL_SECONDS)


def _await_summary(folder: RunFolder, state: RunState) -> None:
    """Let the supervisor finish its record, so that who followed a run to its end finds the folder whole."""
    deadline = time.monotonic() + SUMMARY_SECONDS
    while not folder.summary.exists() and time.monotonic() < deadline:
        if state.started is None or not _runs(state.started.supervisor_pid, state.started.supervisor_since):
            return
        time.sleep(0.02)


def mark_lost(state: RunState) -> RunState:
    """Change the status to `lost` where a run began, told no end, and neither of its processes lives."""
    if state.over or state.started is None or is_alive(state.started):
        return state
    return msgspec.structs.replace(state, status="lost")


def is_alive(started: Started) -> bool:
    """Tell whether a run's supervisor or worker still runs. On another host that can't be told: True."""
    if started.host != socket.gethostname():
        return True
    return _runs(started.supervisor_pid, started.supervisor_since) or _runs(started.worker_pid, started.worker_since)


def _runs(pid: int, since: float) -> bool:
    """Tell whether a process lives and is the one that was meant, not a later one with its number."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - since) < CLOCK_SLACK and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
