"""The wish that a run ends after its current step."""

from __future__ import annotations

import signal
from types import FrameType


class StopFlag:
    """Raised by SIGTERM, SIGINT, or a `stop` command; read between steps and between phases, never lowered."""

    def __init__(self) -> None:
        self.raised = False

    def listen(self) -> None:
        """Take the two signals; only a process' main thread may."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.raised = True
