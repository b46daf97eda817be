"""Giving a supervisor to a worker that lost its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import IO, cast

from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.owner import read_owner
from pegbox_runs.supervision.starting import start_supervisor, supervisor_command


def adopt(folder: RunFolder) -> bool:
    """Start a supervisor for a run that has none, in a session of its own, unless one lives already.

    It watches the worker that the log or owner.json names; if that is gone, it does what the old one would have done.
    May be called again and again, and by several processes: one supervisor wins the run, the others end.
    Returns: whether one was started.
    Raises: OSError: no process can be started.
    """
    owner = read_owner(folder)
    if owner is not None and (owner.elsewhere or owner.lives):
        return False
    process = start_supervisor(supervisor_command("--adopt"), receipts=subprocess.DEVNULL)
    with contextlib.suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as pipe:
        pipe.write(os.fsencode(folder.path.absolute()) + b"\n")
    return True
