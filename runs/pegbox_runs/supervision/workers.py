"""Where a run's workers come from: one that was warmed while a person was choosing, then new ones."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence

from pegbox_methods.refusal import Refusal
from pegbox_runs.changes import current_recipe
from pegbox_runs.launch import crew_command, worker_command, worker_environment
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.early_output import EarlyOutput
from pegbox_runs.supervision.worker import Worker
from pegbox_runs.supervision.worker_process import WorkerProcess


def is_launched(folder: RunFolder) -> bool:
    """Tell whether a launcher starts the run's processes, by its recipe as it is now."""
    with contextlib.suppress(Refusal):  # told by whoever reads it next
        return current_recipe(folder).devices.launched
    return False


def start_crew(folder: RunFolder) -> WorkerProcess:
    """Start what takes a worker's place: it starts the run's processes, and ends when they have.

    Raises: OSError.
    """
    with folder.log.open("ab") as log:
        return WorkerProcess.start(crew_command(), worker_environment(one_gpu=False), log)


class WorkerSupply:
    """Starts workers. What they print before they know their run's folder isn't lost."""

    def __init__(
        self,
        command: Callable[[], Sequence[str]] = worker_command,
        environment: Callable[[], Mapping[str, str]] = worker_environment,
    ) -> None:
        self._command = command
        self._environment = environment
        self._warm: WorkerProcess | None = None
        self._early = EarlyOutput()

    def warm(self) -> None:
        """Start the first worker, for whichever run comes.

        Raises: OSError.
        """
        self._warm = WorkerProcess.start(self._command(), self._environment(), self._early.open())

    def next(self, folder: RunFolder) -> WorkerProcess:
        """Give a worker that waits for its run.

        Raises: OSError: no process can be started.
        """
        if is_launched(folder):
            self._let_go()
            return start_crew(folder)
        if self._warm is not None:
            worker, self._warm = self._warm, None
            return worker
        with folder.log.open("ab") as log:
            return WorkerProcess.start(self._command(), self._environment(), log)

    def finish(self, worker: Worker, folder: RunFolder) -> None:
        """Let go of a worker that is gone, and keep what it printed early."""
        worker.close()
        if self._warm is None:  # else it is that one's, and its run hasn't come
            self._early.move_into(folder.log)

    def close(self) -> None:
        """Let a warm worker end that got no run."""
        if self._warm is not None:
            self._warm.dismiss()
            self._warm = None

    def _let_go(self) -> None:
        """End a warm worker at once: the run's own processes need its memory, and its core."""
        if self._warm is not None:
            self._warm.send(signal.SIGKILL)
            self.close()
