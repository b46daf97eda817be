"""The process that owns a run: starts its worker, waits, and records the end, whatever the end was.

Started as `python -P -m pegbox_runs.supervisor`. It reads one line from its standard input, the run's folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import IO, cast

from pegbox_methods.events import Failed, Started
from pegbox_methods.recipe_file import portable, read_recipe
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.launch import worker_command, worker_environment
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, catch_up
from pegbox_runs.summary import summarise, write_summary


def main() -> int:
    """Supervise one run, from the handing over to the summary."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)
    with tempfile.TemporaryFile() as early_output:
        worker = subprocess.Popen(
            worker_command(),
            stdin=subprocess.PIPE,
            stdout=early_output,
            stderr=early_output,
            env=worker_environment(),
        )
        signal.signal(signal.SIGTERM, lambda *_: worker.send_signal(signal.SIGTERM))
        line = sys.stdin.buffer.readline()
        sys.stdin.close()
        if not line.endswith(b"\n"):
            cast(IO[bytes], worker.stdin).close()
            return worker.wait()
        folder = RunFolder(Path(os.fsdecode(line[:-1])))
        _tell_start(folder, worker)
        _hand_over(worker, line)
        worker.wait()
        early_output.seek(0)
        with folder.log.open("ab") as log:
            shutil.copyfileobj(early_output, log)
    return conclude(folder, worker.returncode)


def conclude(folder: RunFolder, exit_code: int) -> int:
    """Write the end of a run whose worker is gone: a `failed` event if the worker told none, and the summary."""
    state = catch_up(EventReader(folder.events), RunState())
    if not state.over:
        writer = EventWriter(folder.events)
        writer.emit(death(state, exit_code, folder))
        writer.close()
        state = catch_up(EventReader(folder.events), RunState())
    write_summary(summarise(folder.id, state), folder.summary)
    return 0 if state.status in {"finished", "stopped"} else 1


def death(state: RunState, exit_code: int, folder: RunFolder) -> Failed:
    """Describe the end of a worker that didn't describe it itself.

    `exit_code` is negative for a signal, as subprocess gives it.
    """
    step = f" at step {state.step.step}" if state.step else ""
    where = f"{state.phase.phase if state.phase else 'starting'}{step}"
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        remedy = (
            "If you didn't kill it, the kernel did, for memory most often: lower training.micro_batch or "
            "training.length, and raise training.accumulation by as much."
            if name == "SIGKILL"
            else f"The end of {folder.log.name} in the run's folder says more."
        )
        return Failed(what=f"the worker was killed by {name}", where=where, remedy=remedy, signal=name)
    return Failed(
        what=f"the worker ended with exit code {exit_code} and told no reason",
        where=where,
        remedy=f"The end of {folder.log.name} in the run's folder says more.",
        exit_code=exit_code,
    )


def _tell_start(folder: RunFolder, worker: subprocess.Popen[bytes]) -> None:
    recipe = read_recipe(folder.recipe)
    writer = EventWriter(folder.events)
    writer.emit(
        Started(
            run=folder.id,
            method=recipe.method.name,
            model=portable(recipe.model.name),
            host=socket.gethostname(),
            supervisor_pid=os.getpid(),
            supervisor_mark=process_mark(os.getpid()) or "",
            worker_pid=worker.pid,
            worker_mark=process_mark(worker.pid) or "",  # it may have died in its imports
            version=version("pegbox"),
        )
    )
    writer.close()


def _hand_over(worker: subprocess.Popen[bytes], line: bytes) -> None:
    try:
        with cast(IO[bytes], worker.stdin) as pipe:
            pipe.write(line)
    except OSError:
        pass  # it died already, which is told when it is waited for


if __name__ == "__main__":
    sys.exit(main())
