"""One worker process for run after run: imports and the base model are paid for once. Each run has a turn at it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import IO, cast

from pegbox_runs.launch import worker_command, worker_environment
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.early_output import EarlyOutput
from pegbox_runs.supervision.oom_killer import kill_counts, killed_for_memory
from pegbox_runs.supervision.turns import COMPLETED, TURNS
from pegbox_runs.supervision.worker import Worker
from pegbox_runs.supervision.worker_process import Exit, WorkerProcess
from pegbox_runs.supervision.workers import is_launched, start_crew


class TurnsProcess(WorkerProcess):
    """A process that takes several runs, and tells each one's completion through a pipe."""

    def __init__(self, child: subprocess.Popen[bytes], turns: int) -> None:
        super().__init__(child.pid, process_mark(child.pid) or "", child)  # it may have died already
        self.turns: int | None = turns
        """The pipe's end that is read; None once the other end is closed."""
        self._told = b""

    @classmethod
    def begin(cls, command: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | int) -> TurnsProcess:
        """Start one, which waits on its standard input for runs' folders and ends when no more can come.

        Raises: OSError.
        """
        turns, write = os.pipe()
        try:
            child = subprocess.Popen(
                [*command, TURNS, str(write)],
                bufsize=0,  # what can't be written isn't kept for the closing to fail on
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                pass_fds=(write,),
            )
        except OSError:
            os.close(turns)
            raise
        finally:
            os.close(write)
        os.set_blocking(turns, False)
        return cls(child, turns)

    def hand_over(self, folder: RunFolder) -> None:
        """Give it a run; the pipe stays open for the next one."""
        pipe = cast(IO[bytes], cast("subprocess.Popen[bytes]", self._child).stdin)
        with contextlib.suppress(OSError):  # it died already, which is told when it is waited for
            pipe.write(os.fsencode(folder.path) + b"\n")

    def told(self) -> bytes:
        """Give what it has written into its pipe and nobody has taken yet."""
        while self.turns is not None:
            try:
                more = os.read(self.turns, 4096)
            except BlockingIOError:
                break
            if not more:
                os.close(self.turns)
                self.turns = None
            self._told += more
        return self._told

    def take(self) -> None:
        """Take what it has told."""
        self._told = b""

    def close(self) -> None:
        """Let go of it, and of both pipes: one that waits for its next run ends."""
        super().close()
        if self.turns is not None:
            os.close(self.turns)
            self.turns = None
        with contextlib.suppress(OSError):
            cast(IO[bytes], cast("subprocess.Popen[bytes]", self._child).stdin).close()


class Turn:
    """One run's turn at a process: over when that says so, or is gone."""

    def __init__(self, process: TurnsProcess) -> None:
        self.process = process
        self.pid = process.pid
        self.mark = process.mark
        self.completed = False
        """Whether it is over and the process waits for the next run."""
        self._babbled = b""
        self._kills = kill_counts(process.pid)  # now: another worker may have been killed since the process began

    @property
    def descriptor(self) -> int | None:
        """Give the pipe, or, once the process has closed it and only goes on dying, what tells its death."""
        return self.process.descriptor if self.process.turns is None else self.process.turns

    @property
    def gone(self) -> bool:
        """Tell whether the turn is over. A process that tells anything else than that is killed: it can't be trusted
        to be done with the run, and must not go on with it beside the next worker.
        """
        if not self.completed and not self._babbled:
            told = self.process.told()
            if told == COMPLETED:
                self.completed = True
                self.process.take()
            elif not COMPLETED.startswith(told):
                self._babbled = told
                self.process.send(signal.SIGKILL)
        return self.completed or self.process.gone

    @property
    def exit(self) -> Exit:
        """Tell how it ended, once it is gone."""
        return Exit(0, None) if self.completed else self.process.exit

    def killed_for_memory(self) -> tuple[bool | None, str]:
        """Tell whether the kernel killed it for memory, as far as the system says, and what says so."""
        if self._babbled:
            return False, f"it wrote {self._babbled[:40]!r} where its runs' ends are told, and was killed for that"
        return killed_for_memory(self._kills) if self.exit.signal == "SIGKILL" else (False, "")

    def hand_over(self, folder: RunFolder) -> None:
        """Give it the run."""
        self.process.hand_over(folder)

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal, unless the turn is over: it may have another run by now."""
        if not self.completed:
            self.process.send(number)

    def dismiss(self) -> None:
        """Let the process end, whose turn got no run."""
        self.process.dismiss()

    def close(self) -> None:
        """Let go of the process, whether it lives or not."""
        self.process.close()


class SharedWorkerSupply:
    """Gives each run a turn at one process, and starts another where that is gone. One run at a time."""

    def __init__(
        self,
        command: Callable[[], Sequence[str]] = worker_command,
        environment: Callable[[], Mapping[str, str]] = worker_environment,
    ) -> None:
        self._command = command
        self._environment = environment
        self._idle: TurnsProcess | None = None
        self._early = EarlyOutput()

    def warm(self) -> None:
        """Start the process, for whichever run comes.

        Raises: OSError.
        """
        self._idle = TurnsProcess.begin(self._command(), self._environment(), self._early.open())

    def next(self, folder: RunFolder) -> Worker:
        """Give a run its turn, or a crew of its own where several processes carry it.

        Raises: OSError: no process can be started.
        """
        if is_launched(folder):
            return start_crew(folder)
        process, self._idle = self._idle, None
        if process is not None:
            if not process.told() and process.turns is not None and not process.gone:
                return Turn(process)
            process.send(signal.SIGKILL)  # it is dying, or tells an end that no run has come to
            process.dismiss()
        with folder.log.open("ab") as log:
            return Turn(TurnsProcess.begin(self._command(), self._environment(), log))

    def finish(self, worker: Worker, folder: RunFolder) -> None:
        """Let go of a worker that is gone; keep the process for the next run if it waits for that."""
        if isinstance(worker, Turn) and worker.completed:
            self._idle = worker.process
        else:
            worker.close()
        self._early.move_into(folder.log)

    def close(self) -> None:
        """Let the process end, if it waits."""
        if self._idle is not None:
            self._idle.dismiss()
            self._idle = None
