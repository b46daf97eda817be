"""What a lane waits with: for somebody's word, and beside it for its worker's end where that has a descriptor."""

from __future__ import annotations

import contextlib
import os
import select
from queue import Empty, SimpleQueue


class Ears:
    """One thread waits, others wake it. A pipe is opened only for workers of this machine: a thousand lanes whose
    workers are elsewhere would take more descriptors than a process has.
    """

    def __init__(self) -> None:
        self._words: SimpleQueue[None] = SimpleQueue()
        """In place of an event, which takes several times the room and, at each wait, the processor's time."""
        self._pipe: tuple[int, int] | None = None

    def wake(self) -> None:
        """End the wait that is going on, or the next one at once."""
        self._words.put(None)
        if self._pipe is not None:
            with contextlib.suppress(BlockingIOError):  # it is woken already
                os.write(self._pipe[1], b"!")

    def wait(self, seconds: float, descriptor: int | None) -> None:
        """Wait until somebody wakes this or the descriptor turns readable, for that long at most."""
        with contextlib.suppress(Empty):
            if descriptor is None:
                self._words.get(timeout=seconds)
            else:
                self._poll(seconds, descriptor)
            while True:  # what it was woken for is looked at behind this
                self._words.get_nowait()

    def _poll(self, seconds: float, descriptor: int) -> None:
        if self._pipe is None:
            self._pipe = os.pipe()
            for end in self._pipe:
                os.set_blocking(end, False)
        ears = self._pipe[0]
        poller = select.poll()
        for one in (ears, descriptor):
            poller.register(one, select.POLLIN)
        poller.poll(1000 * seconds if self._words.empty() else 0.0)  # it may have been woken before it had a pipe
        with contextlib.suppress(BlockingIOError):
            os.read(ears, 2**16)
