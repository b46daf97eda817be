"""Processes of a run's earlier worker that outlived whoever watched over them: none may write beside the next one's."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from pegbox_runs.crew.launching import WORKER

GONE_SECONDS = 30.0
"""How long one that was killed may take to be gone: it may be in the midst of a disk's or a driver's work."""


def end_those_left(folder: Path, seconds: float = GONE_SECONDS) -> None:
    """Kill this run's processes on this machine, their launcher too, and wait until none is left.

    Linux ends them with the crew; what a system without that left, or somebody started by hand, is found here.
    Raises: OSError: one can't be ended.
    """
    deadline = time.monotonic() + seconds
    while left := list(_those_of(folder)):
        if time.monotonic() > deadline:
            named = ", ".join(str(process.pid) for process in left[:4])
            raise OSError(f"a process of the worker before is still there, and can't be ended (process {named})")
        for process in left:
            print(f"process {process.pid} of the worker before is still there, and is ended", flush=True)
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=1.0)


def _those_of(folder: Path) -> Iterator[psutil.Process]:
    words = [*WORKER, str(folder)]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # gone meanwhile, or another person's
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            told = process.cmdline()
            if any(told[place : place + len(words)] == words for place in range(len(told))):
                yield process
