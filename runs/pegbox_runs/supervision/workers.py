"""Where a run's workers come from: one that was warmed while a person was choosing, then new ones."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from pegbox_runs.launch import worker_command, worker_environment
from pegbox_runs.run_folder import RunFolder
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
        self._early: IO[bytes] | None = None

    def warm(self) -> None:
        """Start the first worker, for whichever run comes.

        Raises: OSError.
        """
        self._early = tempfile.TemporaryFile()  # noqa: SIM115  # closed when its worker is
        self._warm = WorkerProcess.start(self._command(), self._environment(), self._early)

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
        if self._early is not None and self._warm is None:
            with contextlib.suppress(OSError), self._early as early, folder.log.open("ab") as log:
                early.seek(0)
                shutil.copyfileobj(early, log)
            self._early = None

    def close(self) -> None:
        """Let a warm worker end that got no run."""
        if self._warm is not None:
            self._warm.dismiss()
            self._warm = None
