"""A worker as its supervisor holds it: its own child, or one that another supervisor left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO, NamedTuple, cast

from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.oom_killer import kill_counts, killed_for_memory

LEAVING_SECONDS = 10.0


class Exit(NamedTuple):
    """How a process ended; both None where it wasn't a child."""

    code: int | None
    signal: str | None


class WorkerProcess:
    """One process. `descriptor`, where the system has such, turns readable once it is gone."""

    def __init__(self, pid: int, mark: str, child: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
        self.mark = mark
        self._child = child
        self._kills = kill_counts(pid)
        self.descriptor = _pidfd(pid)

    @classmethod
    def start(cls, command: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | int) -> WorkerProcess:
        """Start one, which waits on its standard input for the run's folder and ends if that never comes.

        Raises: OSError.
        """
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment)
        return cls(child.pid, process_mark(child.pid) or "", child)  # it may have died already

    @classmethod
    def adopt(cls, pid: int | None, mark: str | None) -> WorkerProcess | None:
        """Hold one that isn't a child. Returns: None if it is gone."""
        if pid is None or not mark or process_mark(pid) != mark:
            return None
        worker = cls(pid, mark, None)
        if process_mark(pid) == mark:  # so the descriptor means this process, and not a later one of its number
            return worker
        worker.close()
        return None

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._child.poll() is not None if self._child else process_mark(self.pid) != self.mark

    @property
    def exit(self) -> Exit:
        """How it ended, once it is gone."""
        code = self._child.returncode if self._child else None
        if code is None:
            return Exit(None, None)
        return Exit(None, signal_name(-code)) if code < 0 else Exit(code, None)

    def killed_for_memory(self) -> tuple[bool | None, str]:
        """Tell whether the kernel killed it for memory, as far as the system says, and what says so."""
        if self._child and self.exit.signal != "SIGKILL":
            return False, ""
        return killed_for_memory(self._kills)

    def hand_over(self, folder: RunFolder) -> None:
        """Give it the run."""
        pipe = cast(IO[bytes], cast("subprocess.Popen[bytes]", self._child).stdin)
        try:
            with pipe:
                pipe.write(os.fsencode(folder.path) + b"\n")
        except OSError:
            pass  # it died already, which is told when it is waited for

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens to whoever else has its number by now."""
        try:
            if self.descriptor is not None:
                signal.pidfd_send_signal(self.descriptor, number)
            elif not self.gone:
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def dismiss(self) -> None:
        """Let one that got no run end, and wait for it; it may be in the midst of an import."""
        if self._child is not None:
            cast(IO[bytes], self._child.stdin).close()
            try:
                self._child.wait(LEAVING_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self.close()

    def close(self) -> None:
        """Let go of it, whether it lives or not."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, older than 5.3, or gone already
        return None


def signal_name(number: int) -> str:
    """Name a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # a real-time signal has no name of its own
