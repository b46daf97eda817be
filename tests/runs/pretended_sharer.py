"""A worker for run after run that finishes each at once: `python pretended_sharer.py --turns FD`.

Where a run's folder holds `killed-once`, it removes that and kills itself.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pegbox_methods.events import Finished
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.turns import COMPLETED, TURNS


def main() -> None:
    turns = int(sys.argv[sys.argv.index(TURNS) + 1])
    for line in sys.stdin.buffer:
        folder = RunFolder(Path(os.fsdecode(line.rstrip(b"\n"))))
        once = folder.path / "killed-once"
        if once.exists():
            once.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        writer = EventWriter(folder.events)
        writer.emit(Finished(reason="completed", steps=2, kept_step=2, adapter="adapter", seconds=1.0))
        writer.close()
        os.write(turns, COMPLETED)


if __name__ == "__main__":
    main()
