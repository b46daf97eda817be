"""Where the time of a step goes: waiting for rows, forward and backward, the optimizer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


def wait_of(device: torch.device) -> Callable[[], None]:
    """Give what waits until a device has done all it was told; a processor has, always."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


class StepClock:
    """Adds up the seconds of one optimizer step's parts, over all of its micro-batches.

    A GPU works behind the host's back, so its clock is read where the host has waited for it: where the clipping
    begins, and at the step's end. Neither costs anything: transformers reads each micro-batch's loss to see whether it
    is a number, once its backward pass is on its way, and the step's loss right behind its end, and waits both times.
    """

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait = wait
        self._rows = self._optimizer = 0.0
        self._update_began: float | None = None
        self.forward_ended = 0.0
        """When the newest forward pass was through, by the host's clock; monotonic seconds."""

    @contextmanager
    def rows(self) -> Iterator[None]:
        """Count as waiting for rows."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._rows += time.monotonic() - began

    @contextmanager
    def clipping(self) -> Iterator[None]:
        """Count as the optimizer's, from where the backward pass is done."""
        self._wait()
        began = time.monotonic()
        try:
            yield
        finally:
            self._optimizer += time.monotonic() - began

    def forward_ends(self) -> None:
        """Take that a micro-batch has its loss."""
        self.forward_ended = time.monotonic()

    def update_begins(self) -> None:
        """Count as the optimizer's until the step's end; what looks at the gradients before is left out."""
        self._update_began = time.monotonic()

    def step_ends(self) -> None:
        """Wait until the step is really done."""
        self._wait()
        if self._update_began is not None:
            self._optimizer += time.monotonic() - self._update_began
            self._update_began = None

    def take(self) -> tuple[float, float]:
        """Give the seconds of (rows, optimizer) since the last call, and begin anew."""
        taken = self._rows, self._optimizer
        self._rows = self._optimizer = 0.0
        return taken
