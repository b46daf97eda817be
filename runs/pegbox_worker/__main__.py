"""Listen for a run's folder on standard input, import what training needs meanwhile, carry the run.

With `--turns FD`, carry the runs whose folders come on standard input, one a line, in turn: after each that was
completed, a line on the descriptor FD says that the next may come. After any other end the process ends too, and says
how by its exit code, so that the next run gets a fresh one; so it does where no further line comes.

With `--rank FOLDER ATTEMPT`, be one of several processes that carry that run together; a launcher starts them.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pegbox_methods.events import Finished
from pegbox_runs import faults
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, catch_up
from pegbox_runs.secrets import CleanStream, clean_streams
from pegbox_runs.supervision.guard import SupervisorGuard
from pegbox_runs.supervision.turns import COMPLETED, TURNS
from pegbox_worker.control import Control
from pegbox_worker.last_words import write_last
from pegbox_worker.own_log import print_into
from pegbox_worker.ranks.entry import RANK, carry_rank, without_libraries
from pegbox_worker.stop_flag import StopFlag

if TYPE_CHECKING:
    from pegbox_worker.base_shelf import BaseShelf

Carry = Callable[..., int]
STDIN = 0
LOOK_SECONDS = 0.5
"""How often a process that waits for its next run looks whether it was told to terminate."""


class Handed(NamedTuple):
    """A run that was given to this worker."""

    folder: RunFolder
    reader: EventReader
    """Of its log; it has given what `state` is made of."""
    writer: EventWriter
    control: Control
    state: RunState
    """Its log until now."""


class Folders:
    """The runs' folders that come on standard input, one a line.

    Read past `sys.stdin`, whose lock an ending interpreter couldn't get back from a thread that still waits.
    """

    def __init__(self) -> None:
        self._read = b""

    def next(self, stop: StopFlag | None = None) -> RunFolder | None:
        """Wait for one. Returns: None: no other comes, or `stop` was raised before it came."""
        while b"\n" not in self._read:
            if stop is not None and not select.select([STDIN], [], [], LOOK_SECONDS)[0]:
                if stop.raised:
                    return None
                continue
            more = os.read(STDIN, 2**16)
            if not more:
                return None
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return RunFolder(Path(os.fsdecode(line)))


class Reception:
    """Waits for the run in a thread, so that its commands are answered while imports still take their seconds."""

    def __init__(self, folders: Folders, stop: StopFlag) -> None:
        self._folders = folders
        self._stop = stop
        self._handed: Handed | None = None
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._receive, name="reception", daemon=True)
        self._thread.start()

    def await_run(self) -> Handed | None:
        """Give the run once it has come; None: whoever started this process went away without one.

        Raises: OSError: its folder can't be read or written.
        """
        self._thread.join()
        if self._fault is not None:
            raise self._fault
        return self._handed

    def _receive(self) -> None:
        try:
            folder = self._folders.next()
            if folder is not None:
                self._handed = take(folder, self._stop)
        except BaseException as error:  # noqa: BLE001  # raised where it is awaited
            self._fault = error


def take(folder: RunFolder, stop: StopFlag) -> Handed:
    """Begin to carry a run: from now on it is this process that writes its log and answers its commands."""
    print_into(folder.log)
    if not isinstance(sys.stdout, CleanStream):
        clean_streams()
    reader = EventReader(folder.events)
    state = catch_up(reader, RunState())
    faults.arm()
    faults.begin(state.started.attempt if state.started else 1)
    writer = EventWriter(folder.events)
    guard = SupervisorGuard(folder, writer.emit, state.started.supervisor_pid if state.started else os.getppid())
    control = Control(folder, writer, stop, answered=state.answered, steps_done=state.steps_done, guard=guard.look)
    control.listen()
    return Handed(folder, reader, writer, control, state)


def main(arguments: Sequence[str] = ()) -> int:
    """Carry one run, or run after run. Returns the exit code: 0 if it finished, was stopped, or waits without its
    memory.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)
    if list(arguments[:1]) == [RANK]:
        return carry_rank(RunFolder(Path(arguments[1])), int(arguments[2]))
    stop = StopFlag()
    stop.listen()
    folders = Folders()
    reception = Reception(folders, stop)
    # PEFT imports bitsandbytes wherever it is installed, which costs a second; the job lets it in where it is needed.
    sys.modules["bitsandbytes"] = None  # type: ignore[assignment]
    broken: Exception | None = None
    try:
        from pegbox_worker.job import carry
    except Exception as error:  # noqa: BLE001  # told in the run's log, once there is one
        broken = error
    handed = reception.await_run()
    if handed is None:
        return 0
    if broken is not None:
        handed.writer.emit(without_libraries(broken))
        _end(handed)
        return 1
    if list(arguments[:1]) == [TURNS]:
        return _in_turn(handed, folders, stop, carry, int(arguments[1]))
    return _carried(handed, carry, None)


def _carried(handed: Handed, carry: Carry, shelf: BaseShelf | None) -> int:
    try:
        return carry(handed.folder, handed.writer, handed.control, handed.state, shelf)
    finally:
        _end(handed)


def _end(handed: Handed) -> None:
    handed.control.close()
    write_last(handed.writer)


def _in_turn(handed: Handed | None, folders: Folders, stop: StopFlag, carry: Carry, turns: int) -> int:
    """Carry this run and those that come behind it, each as if it had the process for itself. Returns the exit code."""
    from pegbox_worker.base_shelf import BaseShelf
    from pegbox_worker.clean_slate import CleanSlate

    os.set_inheritable(turns, False)
    slate, shelf = CleanSlate(), BaseShelf(keeps=True)
    while handed is not None:
        last, giver = handed.folder, handed.state.started.supervisor_pid if handed.state.started else os.getppid()
        code = _carried(handed, carry, shelf)
        if code or stop.raised or not _completed(handed):
            if not stop.raised:
                _see_to_the_rest(last, giver)
            return code
        try:
            os.write(turns, COMPLETED)
        except BrokenPipeError:  # whoever gave the runs is gone
            _see_to_the_rest(last, giver)
            return code
        handed = None
        shelf.put_back()
        slate.wipe()
        folder = folders.next(stop)
        if folder is None and not stop.raised:
            _see_to_the_rest(last, giver)
        handed = None if folder is None else take(folder, stop)
    return 0


def _see_to_the_rest(last: RunFolder, giver: int) -> None:
    """Get a comparison another director where its own died, which the guard, looking once a second, may not have seen.

    A director that let go of this process lives until that is gone. Whatever goes wrong, the last run is done.
    """
    with contextlib.suppress(Exception):
        from pegbox_runs.arena.comparison_folder import comparison_of
        from pegbox_runs.supervision.adopting import adopt

        if os.getppid() != giver and comparison_of(last) is not None:
            adopt(last)


def _completed(handed: Handed) -> bool:
    """Tell whether the run came to its end, by the log alone: what isn't there can't be relied on."""
    ended = catch_up(handed.reader, handed.state).ended
    return isinstance(ended, Finished) and ended.reason == "completed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
