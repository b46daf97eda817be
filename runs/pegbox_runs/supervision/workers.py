"""Where a run's workers come from: one that was warmed while a person was choosing, then new ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pegbox_runs.launch import worker_command, worker_environment
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.early_output import EarlyOutput
from pegbox_runs.supervision.worker import Worker
from pegbox_runs.supervision.worker_process import WorkerProcess


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
