"""Import what training needs, wait for a run's folder on standard input, carry the run."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pegbox_methods.events import Failed
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.stop_flag import StopFlag


def main() -> int:
    """Carry one run. Returns the exit code: 0 if it finished or was stopped."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)
    stop = StopFlag()
    stop.listen()
    # PEFT imports bitsandbytes wherever it is installed, which costs a second; the job lets it in where it is needed.
    sys.modules["bitsandbytes"] = None  # type: ignore[assignment]
    broken: Exception | None = None
    try:
        from pegbox_worker.job import carry
    except Exception as error:  # noqa: BLE001  # told in the run's log, once there is one
        broken = error
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return 0
    folder = RunFolder(Path(os.fsdecode(line[:-1])))
    _print_into(folder.log)
    writer = EventWriter(folder.events)
    if broken is not None:
        writer.emit(
            Failed(
                what=f"the training libraries can't be imported: {type(broken).__name__}: {broken}",
                where="starting",
                remedy="Reinstall Pegbox in a fresh environment; a torch of the wrong build is the usual cause.",
            )
        )
        return 1
    return carry(folder, writer, stop)


def _print_into(log: Path) -> None:
    """Send both output streams, of Python and of C libraries, to the run's log. Nothing prints into events."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


if __name__ == "__main__":
    sys.exit(main())
