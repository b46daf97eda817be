"""Starting a supervisor where neither a closed terminal nor a changed folder reaches it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from pegbox_methods.home import home


def supervisor_command(*options: str) -> list[str]:
    """Give the command line of a supervisor; it reads runs' folders from its standard input, one a line."""
    return [sys.executable, "-P", "-m", "pegbox_runs.supervisor", *options]


def director_command(*options: str) -> list[str]:
    """Give the command line of a comparison's director; it reads one folder from its standard input."""
    return [sys.executable, "-P", "-m", "pegbox_runs.arena.directing.director", *options]


def start_supervisor(command: Sequence[str], *, receipts: int, gpu: str | None = None) -> subprocess.Popen[bytes]:
    """Start one in a session of its own. `receipts`: where its answers go, as `subprocess.PIPE`; `gpu`: what
    CUDA_VISIBLE_DEVICES shall name for its workers, in place of what it names here.

    Raises: OSError: no process can be started.
    """
    chosen = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=receipts,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PEGBOX_HOME": str(home()), **chosen},  # it may be relative
        cwd="/",
    )
