"""A real post with a pretended worker: `python pretended_post.py PLAN RUNFOLDER TICKET`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pegbox_runs.fleet.bound import bound_command
from pegbox_runs.fleet.post import Duty
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.workers import WorkerSupply

WORKER = Path(__file__).parent.with_name("pretended_worker.py")

if __name__ == "__main__":
    command = [sys.executable, "-P", str(WORKER), sys.argv[1]]
    supply = WorkerSupply(lambda: bound_command(command), lambda: dict(os.environ))
    duty = Duty(RunFolder(Path(sys.argv[2])), sys.argv[3], supply)
    signal.signal(signal.SIGTERM, duty.warn)
    sys.exit(duty.do())
