"""Listen for a run's folder on standard input, import what training needs meanwhile, carry the run."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import NamedTuple

from pegbox_methods.events import WorkerFailed
from pegbox_runs import faults
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, catch_up
from pegbox_runs.secrets import clean_streams
from pegbox_worker.control import Control
from pegbox_worker.guard import SupervisorGuard
from pegbox_worker.last_words import write_last
from pegbox_worker.stop_flag import StopFlag


class Handed(NamedTuple):
    """A run that was given to this worker."""

    folder: RunFolder
    writer: EventWriter
    control: Control
    state: RunState
    """Its log until now."""


class Reception:
    """Waits for the run in a thread, so that its commands are answered while imports still take their seconds."""

    def __init__(self, stop: StopFlag) -> None:
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
            line = sys.stdin.buffer.readline()
            if line.endswith(b"\n"):
                self._handed = take(RunFolder(Path(os.fsdecode(line[:-1]))), self._stop)
        except BaseException as error:  # noqa: BLE001  # raised where it is awaited
            self._fault = error


def take(folder: RunFolder, stop: StopFlag) -> Handed:
    """Begin to carry a run: from now on it is this process that writes its log and answers its commands."""
    _print_into(folder.log)
    clean_streams()
    state = catch_up(EventReader(folder.events), RunState())
    faults.begin(state.started.attempt if state.started else 1)
    writer = EventWriter(folder.events)
    guard = SupervisorGuard(folder, writer, state.started.supervisor_pid if state.started else os.getppid())
    control = Control(folder, writer, stop, answered=state.answered, steps_done=state.steps_done, guard=guard.look)
    control.listen()
    return Handed(folder, writer, control, state)


def main() -> int:
    """Carry one run. Returns the exit code: 0 if it finished, was stopped, or waits without its memory."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)
    stop = StopFlag()
    stop.listen()
    reception = Reception(stop)
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
    try:
        if broken is not None:
            handed.writer.emit(_without_libraries(broken))
            return 1
        return carry(*handed)
    finally:
        handed.control.close()
        write_last(handed.writer)


def _without_libraries(error: Exception) -> WorkerFailed:
    said = one_line(str(error), 400)
    return WorkerFailed(
        kind="error",
        what=f"the training libraries can't be imported: {type(error).__name__}: {said}",
        where="starting",
        remedy="Reinstall Pegbox in a fresh environment; a torch of the wrong build is the usual cause.",
    )


def _print_into(log: Path) -> None:
    """Send both output streams, of Python and of C libraries, to the run's log. Nothing prints into events."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


if __name__ == "__main__":
    sys.exit(main())
