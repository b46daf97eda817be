"""The process that owns runs: starts their workers, waits, starts them again, and records the end, whatever it was.

Started as `python -P -m pegbox_runs.supervisor`. It reads runs' folders from its standard input, one a line, and
answers each on its standard output. With `--adopt` it goes on where a supervisor was killed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from pegbox_runs.supervision.intake import Intake
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.queue import Queue
from pegbox_runs.supervision.workers import WorkerSupply


def main(arguments: Sequence[str] = ()) -> int:
    """Supervise the runs that come, from the handing over to their summaries."""
    return supervise(Intake(), WorkerSupply(), RestartPolicy(), adopting="--adopt" in arguments)


def supervise(intake: Intake, supply: WorkerSupply, restarts: RestartPolicy, *, adopting: bool = False) -> int:
    """Do what `main` does, with other workers and other waits. Returns: 0 if every run ended well."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)
    queue = Queue(intake, supply, restarts, adopting=adopting)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: queue.terminate())
    if not adopting:
        supply.warm()
    return 0 if queue.work() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
