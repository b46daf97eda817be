"""How fast the steps are, from the sentinel's own clock."""

from __future__ import annotations

import statistics
import time

WARMING = 2
"""Steps left out: the first ones load kernels and fill caches."""


class Pace:
    """The seconds of each step, evaluations and checkpoints left out."""

    def __init__(self) -> None:
        self._began = 0.0
        self._seconds: list[float] = []

    def step_begins(self) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def step_ends(self) -> None:
        """Stop it."""
        self._seconds.append(time.perf_counter() - self._began)

    def rate(self, tokens: int, steps: int) -> float | None:
        """Give tokens a second by the usual step; None: there were too few steps. `tokens`: of all steps."""
        usual = self._seconds[WARMING:]
        return None if not usual else tokens / steps / statistics.median(usual)
