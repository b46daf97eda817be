"""What a lane waits with: for somebody's word, and beside it for its worker's end where that has a descriptor."""

from __future__ import annotations

import contextlib
import os
import select
import threading


class Ears:
    """One thread waits, others wake it. A pipe is opened only for workers of this machine: a thousand lanes whose
    workers are elsewhere would take more descriptors than a process has.
    """

    def __init__(self) -> None:
        self._woken = threading.Event()
        self._pipe: tuple[int, int] | None = None

    def wake(self) -> None:
        """End the wait that is going on, or the next one at once."""
        self._woken.set()
        if self._pipe is not None:
            with contextlib.suppress(BlockingIOError):  # it is woken already
                os.write(self._pipe[1], b"!")

    def wait(self, seconds: float, descriptor: int | None) -> None:
        """Wait until somebody wakes this or the descriptor turns readable, for that long at most."""
        if descriptor is None:
            self._woken.wait(seconds)
        else:
            self._poll(seconds, descriptor)
        self._woken.clear()  # what it was woken for is looked at behind this

    def _poll(self, seconds: float, descriptor: int) -> None:
        if self._pipe is None:
            self._pipe = os.pipe()
            for end in self._pipe:
                os.set_blocking(end, False)
        ears = self._pipe[0]
        poller = select.poll()
        for one in (ears, descriptor):
            poller.register(one, select.POLLIN)
        poller.poll(0.0 if self._woken.is_set() else 1000 * seconds)  # it may have been woken before it had a pipe
        with contextlib.suppress(BlockingIOError):
            os.read(ears, 2**16)
