"""Several answers that grow side by side on one device: each lane computes a token, then lets the next one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

import torch


class TurnTaking:
    """Only one lane computes at any time. Each has random numbers of its own, so that it draws what it would alone."""

    def __init__(self, lanes: Sequence[str], seed: int) -> None:
        self._order = deque(lanes)
        self._moved = threading.Condition()
        begin = _random_after(seed)
        self._random = dict.fromkeys(lanes, begin)
        self._seconds = dict.fromkeys(lanes, 0.0)
        self._since = 0.0

    def wait(self, lane: str) -> None:
        """Wait for one's turn."""
        with self._moved:
            self._moved.wait_for(lambda: self._order[0] == lane)
            _set_random(self._random[lane])
            self._since = time.perf_counter()

    def pass_on(self, lane: str) -> None:
        """End one's turn, and wait for the next one."""
        with self._moved:
            self._stop(lane)
            self._order.rotate(-1)
            self._moved.notify_all()
        self.wait(lane)

    def leave(self, lane: str) -> None:
        """End one's turn for good."""
        with self._moved:
            self._stop(lane)
            self._order.remove(lane)
            self._moved.notify_all()

    def seconds(self, lane: str) -> float:
        """Give the time that a lane has computed in, whose turn it is."""
        return self._seconds[lane] + time.perf_counter() - self._since

    def _stop(self, lane: str) -> None:
        self._seconds[lane] = self.seconds(lane)
        self._random[lane] = _random()


Random = tuple[torch.Tensor, torch.Tensor | None]
"""The state of the generators of the CPU and of the GPU."""


def _random() -> Random:
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None


def _set_random(state: Random) -> None:
    of_cpu, of_gpu = state
    torch.set_rng_state(of_cpu)
    if of_gpu is not None:
        torch.cuda.set_rng_state(of_gpu)


def _random_after(seed: int) -> Random:
    torch.manual_seed(seed)
    return _random()
