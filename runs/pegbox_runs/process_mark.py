"""Telling a process from a later one that got its number."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

NO_PID = 0
"""Of a process on another machine: no process here has it."""


def process_mark(pid: int) -> str | None:
    """Name a living process so that no other ever has that name; None if there is none.

    On Linux: the boot's id and the tick of that boot at which it began, which no change of the clock moves.
    Elsewhere: its start time in whole seconds. A process that ended and that nobody waited for lives no more.
    """
    if not sys.platform.startswith("linux"):
        return _start_time(pid)
    try:
        # The name in parentheses may hold anything; state and start are the 3rd and the 22nd field.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if len(fields) < 20 or fields[0] in b"ZX" else f"{_boot()}:{fields[19].decode('ascii')}"


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _start_time(pid: int) -> str | None:
    import psutil  # 3 MB that a supervisor on Linux does without

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.NoSuchProcess:
        return None
