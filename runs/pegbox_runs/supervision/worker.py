"""What carrying a run asks of a worker and of where workers come from; typing alone."""

from __future__ import annotations

import signal
from typing import Protocol, runtime_checkable

from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.worker_process import Exit


class Worker(Protocol):
    """Carries one run: a process, or the turn that one has at it."""

    @property
    def pid(self) -> int:
        """Give the process's id."""

    @property
    def mark(self) -> str:
        """Give what tells the process from a later one of that id."""

    @property
    def descriptor(self) -> int | None:
        """Give what turns readable once it may be gone; it may be another one later."""

    @property
    def gone(self) -> bool:
        """Tell whether it does nothing more for its run."""

    @property
    def exit(self) -> Exit:
        """Tell how it ended, once it is gone."""

    def killed_for_memory(self) -> tuple[bool | None, str]:
        """Tell whether the kernel killed it for memory, as far as the system says, and what says so."""

    def hand_over(self, folder: RunFolder) -> None:
        """Give it the run."""

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""

    def dismiss(self) -> None:
        """Let one that got no run end, and wait for it."""

    def close(self) -> None:
        """Let go of it, whether it lives or not."""


class Supply(Protocol):
    """Where a run's workers come from."""

    def next(self, folder: RunFolder) -> Worker:
        """Give a worker that waits for its run. Raises: OSError: no process can be started."""

    def finish(self, worker: Worker, folder: RunFolder) -> None:
        """Let go of a worker that is gone: one of its own, or one that another supervisor left behind."""


@runtime_checkable
class FarSupply(Protocol):
    """Workers that aren't processes of this machine, so that no process id tells which of them lives."""

    def left_behind(self, folder: RunFolder) -> Worker | None:
        """Hold the worker of a run that another supervisor left; None: it is gone."""
