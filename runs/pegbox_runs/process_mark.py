"""Telling a process from a later one that got its number."""

from __future__ import annotations

from pathlib import Path

import psutil


def process_mark(pid: int) -> str | None:
    """Name a living process so that no other ever has that name; None if there is none.

    On Linux: the boot's id and the tick of that boot at which it began, which no change of the clock moves.
    Elsewhere: its start time in whole seconds.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            # The name in parentheses may hold anything; the start is the 22nd field, the 20th behind it.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return f"{process.create_time():.0f}"
        return f"{boot}:{fields[19]}"
    except psutil.NoSuchProcess:
        return None
