"""A thread that writes each second that this process lives, and what it is at: the crew can't look into it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time

from pegbox_runs.crew.rank_files import BEAT_SECONDS, Doing, RankRecord, RankTrouble, write_rank
from pegbox_runs.run_folder import RunFolder


class Beat:
    """What one process says of itself, in its file."""

    def __init__(self, folder: RunFolder, attempt: int, rank: int) -> None:
        self.rank = rank
        self._folder, self._attempt = folder, attempt
        self._host, self._pid = socket.gethostname(), os.getpid()
        self._began = self._advanced = time.time()
        self._step = 0
        self._doing: Doing = "starting"
        self._trouble: RankTrouble | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="beat", daemon=True)

    def start(self) -> None:
        """Write the first record, and each second another."""
        self._write()
        self._thread.start()

    @property
    def at(self) -> Doing:
        """Say what is in hand."""
        return self._doing

    def doing(self, doing: Doing) -> None:
        """Take what is in hand now."""
        self._doing = doing
        self.advance()

    def done(self, step: int) -> None:
        """Take how many steps are done."""
        self._step = step
        self.advance()

    def advance(self) -> None:
        """Take that something was done, however small."""
        self._advanced = time.time()

    def fail(self, trouble: RankTrouble) -> None:
        """Write at once why this process is about to end."""
        self._trouble = trouble
        self._write()

    def end(self) -> None:
        """Write a last record."""
        if self._trouble is None:
            self._doing = "ended"
        self._over.set()
        self._write()

    def record(self) -> RankRecord:
        """Say how things are now."""
        return RankRecord(
            attempt=self._attempt,
            rank=self.rank,
            host=self._host,
            pid=self._pid,
            began=self._began,
            beat=time.time(),
            step=self._step,
            doing=self._doing,
            advanced=self._advanced,
            trouble=self._trouble,
        )

    def _go_on(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            self._write()

    def _write(self) -> None:
        with self._lock, contextlib.suppress(OSError):  # a disk that fails says so where something is lost by it
            write_rank(self._folder, self.record())
