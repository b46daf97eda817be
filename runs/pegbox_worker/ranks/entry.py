"""One of several processes from its first moment on, before torch is there: it is seen, and the leading one hears."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from pegbox_methods.events import WorkerFailed
from pegbox_runs import faults
from pegbox_runs.crew.rank_files import LAUNCHER, RankTrouble
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.printable import one_line
from pegbox_runs.process_bonds import end_with_parent
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, catch_up
from pegbox_runs.secrets import clean_streams
from pegbox_worker.control import Control
from pegbox_worker.last_words import write_last
from pegbox_worker.own_log import print_into
from pegbox_worker.ranks.beating import Beat
from pegbox_worker.ranks.silent import SilentWriter
from pegbox_worker.stop_flag import StopFlag

RANK = "--rank"


def carry_rank(folder: RunFolder, attempt: int) -> int:
    """Carry a run together with others, whose launcher's words are in the environment. Returns the exit code.

    It ends the process itself once all is written: no library's tear-down may wait for one who is gone.
    """
    rank = int(os.environ["RANK"])
    _take_signals(leads=rank == 0)
    die_with_parent()
    print_into(folder.log)
    clean_streams()
    faults.arm()
    faults.begin(attempt, rank)
    beat = Beat(folder, attempt, rank)
    beat.start()
    writer, control, state = _leading(folder) if rank == 0 else (SilentWriter(), None, RunState())
    # PEFT imports bitsandbytes wherever it is installed, which costs a second; the job lets it in where it is needed.
    sys.modules["bitsandbytes"] = None  # type: ignore[assignment]
    code = 1
    try:
        from pegbox_worker.ranks.carrying import carry_together
    except Exception as error:  # noqa: BLE001  # told in the rank's file
        beat.fail(trouble_of(without_libraries(error)))
    else:
        code = carry_together(folder, writer, control, state, beat)
    if control is not None:
        control.close()
    write_last(writer)
    beat.end()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _leading(folder: RunFolder) -> tuple[EventWriter, Control, RunState]:
    """Begin to write the run's log and to answer its commands."""
    state = catch_up(EventReader(folder.events), RunState())
    writer = EventWriter(folder.events)
    control = Control(folder, writer, StopFlag(), answered=state.answered, steps_done=state.steps_done)
    control.listen()
    return writer, control, state


def _take_signals(*, leads: bool) -> None:
    """Leave to whoever watches them all what the run shall do: a signal isn't heard as a command here.

    torchrun sends SIGTERM where one of them is gone. The leading one first saves the last step it has done, as far as
    whoever kills it for good lets it; its next message to the one that is gone tells it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if leads else signal.SIG_DFL)


def die_with_parent() -> None:
    """Let the kernel end this process with the launcher, of which nobody could take it over. Only Linux can.

    Where the launcher has ended before the kernel knew of it, so does this process, at once.
    """
    end_with_parent()
    if is_orphaned(os.environ.get(LAUNCHER), os.getppid()):
        os._exit(1)


def is_orphaned(mark: str | None, parent: int) -> bool:
    """Tell whether a parent is neither the launcher of that mark, nor the crew to which its orphans fall."""
    if mark is None or not sys.platform.startswith("linux") or parent == int(mark.partition("-")[0]):
        return False
    try:
        environment = Path(f"/proc/{parent}/environ").read_bytes()
    except OSError:
        return True  # gone, or somebody else's
    return f"{LAUNCHER}={mark}".encode() not in environment.split(b"\0")


def trouble_of(failed: WorkerFailed, *, lost: str | None = None) -> RankTrouble:
    """Say for one process what a worker that is alone tells in the log. `lost`: what to say where it only lost
    another one.
    """
    return RankTrouble(
        kind="error" if lost else failed.kind,
        what=lost or failed.what,
        where=failed.where,
        remedy=failed.remedy,
        doing=failed.doing,
        lost_peer=lost is not None,
    )


def without_libraries(error: Exception) -> WorkerFailed:
    """Say why there can be no training at all."""
    said = one_line(str(error), 400)
    return WorkerFailed(
        kind="error",
        what=f"the training libraries can't be imported: {type(error).__name__}: {said}",
        where="starting",
        remedy="Reinstall Pegbox in a fresh environment; a torch of the wrong build is the usual cause.",
    )
