"""What the dashboard's thread does: follows the run to its end, and on where somebody continues it after that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec
from textual.message import Message

from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.viewing import ALIVE_SECONDS, follow, is_deleted
from pegbox_tui.dashboard.chart.series import LOSS, look_over
from pegbox_tui.dashboard.view import read_beside
from pegbox_tui.messages import BesideRead, RunAdvanced, RunUnreadable

READING_SECONDS = 0.25
"""Between two words of how far the log is read, while it is read for the first time. Nothing else is drawn then."""


TRY_AGAIN_SECONDS = 5.0
"""Between two tries of a folder that can't be read: shorter than the reason is shown, so that it stays."""


def keep_telling(folder: RunFolder, left: threading.Event, post: Callable[[Message], object]) -> None:
    """Tell all that happens to a run until nobody looks any more, or the run is deleted."""
    known = RunState()

    def tell(message: Message) -> None:
        """Pass it on; a log that is read again, and isn't there any more, takes nothing back that it said."""
        nonlocal known
        if isinstance(message, RunAdvanced) and message.share == 1.0:
            if message.state.last_seq >= known.last_seq:
                known = message.state
            elif message.state.deleted:
                message = RunAdvanced(msgspec.structs.replace(known, deleted=True), last=message.last)
            else:
                return
        post(message)

    while not left.is_set():
        try:
            state = _tell(folder, left, tell)
        except OSError as error:  # rights taken away, or a network file system that is away
            tell(RunUnreadable(error.strerror or str(error)))
            left.wait(TRY_AGAIN_SECONDS)
            continue
        if not state.deleted and not _goes_on(folder, left) and not left.is_set():
            state = msgspec.structs.replace(state, deleted=True)
            tell(RunAdvanced(state, last=True))
        if state.deleted:
            return


def _tell(folder: RunFolder, left: threading.Event, post: Callable[[Message], object]) -> RunState:
    """Tell a run until its end. Returns: the last state."""
    beside = read_beside(folder)
    post(BesideRead(beside))
    state, next_post = RunState(), time.monotonic() + READING_SECONDS
    for advance in follow(folder, left):
        state = advance.state
        if advance.share < 1.0:  # a long log comes in thousands of portions
            if time.monotonic() >= next_post:
                next_post = time.monotonic() + READING_SECONDS
                post(RunAdvanced(state, advance.share))
            continue
        look_over(state, LOSS)
        post(RunAdvanced(state))
        look_over(state)
        if beside.is_behind(folder):
            beside = read_beside(folder)
            post(BesideRead(beside))
    # An end in the log may be followed by a new beginning; only following itself knows which is the last.
    post(RunAdvanced(state, last=True))
    return state


def _goes_on(folder: RunFolder, left: threading.Event) -> bool:
    """Wait until the log of a run that has ended grows. Returns: False: nobody looks any more, or the run is gone."""
    size = _size(folder)
    while not left.wait(ALIVE_SECONDS):
        if is_deleted(folder):
            return False
        grown = _size(folder)
        if grown is not None and grown != size:
            return True
    return False


def _size(folder: RunFolder) -> int | None:
    try:
        return folder.events.stat().st_size
    except OSError:  # as on a network file system that is away, or while the run is being deleted
        return None
