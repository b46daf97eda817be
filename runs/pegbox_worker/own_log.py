"""worker.log: all that a run's processes print, whoever prints it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path


def print_into(log: Path) -> None:
    """Send both output streams, of Python and of C libraries, to the run's log. Nothing prints into events."""
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)  # what C libraries printed belongs where they printed it
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
