"""Which of several open wizards keeps the draft: there is one file of it."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from pegbox_methods.home import home

PID_BYTES = 20


class DraftHold:
    """The right to keep the draft. The system takes it from a process that ended, however that came about."""

    def __init__(self) -> None:
        self._lock: int | None = None

    def take(self) -> str | None:
        """Take it. Returns: who has it, as a clause; None: this process has it now.

        A place that can't be written, or a file system without locks, keeps nobody from it.
        """
        try:
            home().mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(home() / "draft.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(lock, PID_BYTES, 0).decode("ascii", "replace").strip()
            os.close(lock)
            return "another window of Pegbox" + (f" (process {pid})" if pid.isdigit() else "")
        except OSError:
            os.close(lock)
            return None
        with suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        self._lock = lock
        return None

    def release(self) -> None:
        """Let another have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
