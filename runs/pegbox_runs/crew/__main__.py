"""Wait on standard input for the folder of a run, and carry that with several processes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pegbox_runs import faults
from pegbox_runs.crew.crew import Crew
from pegbox_runs.run_folder import RunFolder


def main() -> int:
    """Carry one run. Returns the exit code: 0 if it finished, was stopped, or waits without its memory."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return 0  # whoever started this process went away without a run
    faults.arm()
    return Crew(RunFolder(Path(os.fsdecode(line[:-1])))).carry()


if __name__ == "__main__":
    sys.exit(main())
