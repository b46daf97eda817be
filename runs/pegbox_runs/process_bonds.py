"""What the kernel does with a process whose parent ends. Linux alone can; elsewhere nothing happens."""

from __future__ import annotations

import contextlib
import ctypes
import signal

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
"""Source: prctl(2)."""


def end_with_parent() -> None:
    """Have this process killed once the thread that started it ends; so it stays over an exec."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def take_orphans() -> None:
    """Have what this process' children leave behind fall to it, and not to the system's first process."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
