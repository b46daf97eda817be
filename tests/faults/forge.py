"""Real supervisors and workers without their imports: one process that has imported torch forks each of them.

Every process is a process of its own, with its own pid, signals, session and files, and can be killed as such. What is
missing is only `exec`: whoever starts a supervisor or a worker here gets a fork of the forge in its place.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

ROOT = Path(__file__).parents[2]
WINGS = ("cli", "tui", "runs", "methods", "hardware")
ADDRESS = "PEGBOX_TEST_FORGE"
SUPERVISOR, WORKER = "pegbox_runs.supervisor", "pegbox_worker"
PATIENCE_SECONDS = 120
RealPopen = subprocess.Popen


class Forge:
    """The forge, from outside: starts it, and ends it with all that it forked."""

    def __init__(self, folder: Path) -> None:
        self._address = folder / "forge.sock"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(ROOT / wing) for wing in (".", *WINGS)),
            "OMP_NUM_THREADS": "1",  # a process that has started threads can't be forked well
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        self._log = (folder / "forge.log").open("wb")
        command = [sys.executable, "-P", "-m", "tests.faults.forge", str(self._address)]
        self._process = RealPopen(
            command, env=environment, stdin=subprocess.PIPE, stdout=self._log, stderr=self._log, cwd="/"
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._address.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "forge.log").read_text()[-2000:])
            time.sleep(0.02)
        os.environ[ADDRESS] = str(self._address)

    def close(self) -> None:
        """End it; it ends by itself too once this process is gone."""
        os.environ.pop(ADDRESS, None)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(10)
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ForgedPopen:
    """In place of subprocess.Popen: forks what is Pegbox's own, starts everything else as ever."""

    def __new__(cls, args: Sequence[str], **named: Any) -> Any:
        """Fork, or start."""
        module = args[3] if list(args[1:3]) == ["-P", "-m"] else ""
        if module not in (SUPERVISOR, WORKER):
            return RealPopen(args, **named)
        return super().__new__(cls)

    def __init__(
        self,
        args: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: Any = None,
        stderr: Any = None,
        env: dict[str, str] | None = None,
        start_new_session: bool = False,
        cwd: str | None = None,
    ) -> None:
        assert stdin == subprocess.PIPE
        inner_in, outer_in = os.pipe()
        outer_out, inner_out = os.pipe() if stdout == subprocess.PIPE else (None, _descriptor(stdout))
        inner_error = _descriptor(stderr)
        order = {
            "module": args[3],
            "arguments": list(args[4:]),
            "environment": dict(os.environ if env is None else env),
            "session": start_new_session,
            "folder": cwd,
        }
        inner = (inner_in, inner_out, inner_error)
        self._child = args[3] == WORKER
        if self._child:
            self.pid = os.fork()
            if self.pid == 0:
                _become(order, inner)
        else:
            self.pid = _ask(order, inner)
        self._descriptor = os.pidfd_open(self.pid) if not self._child else None
        for descriptor in inner:
            os.close(descriptor)
        self.stdin: IO[bytes] | None = os.fdopen(outer_in, "wb")
        self.stdout: IO[bytes] | None = None if outer_out is None else os.fdopen(outer_out, "rb")
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """As Popen's."""
        if self.returncode is None and self._child:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        elif self.returncode is None:
            self.returncode = None if _lives(self.pid) else 0
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """As Popen's."""
        deadline = time.monotonic() + (PATIENCE_SECONDS if timeout is None else timeout)
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("forged", timeout or 0)
            time.sleep(0.005)
        return self.returncode or 0

    def send_signal(self, number: int) -> None:
        """As Popen's."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """As Popen's."""
        self.send_signal(signal.SIGKILL)


def main(address: str) -> None:
    """Import everything once, then fork whatever is asked for until standard input ends."""
    from pegbox_hardware import machine  # noqa: F401
    from pegbox_runs import continuing, launch, replanning, supervisor  # noqa: F401

    sys.modules["bitsandbytes"] = None  # type: ignore[assignment]  # as the worker does
    from transformers.models.llama import modeling_llama, tokenization_llama  # noqa: F401

    import pegbox_worker.__main__
    import pegbox_worker.job  # noqa: F401

    subprocess.Popen = ForgedPopen  # type: ignore[misc,assignment]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for supervisors, as for any detached process
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address + ".part")
    listener.listen()
    Path(address + ".part").rename(address)
    import gc
    import select

    gc.freeze()
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            os._exit(0)
        connection, _ = listener.accept()
        with connection:
            text, inner, _, _ = socket.recv_fds(connection, 2**20, 3)
            pid = os.fork()
            if pid == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _become(json.loads(text), tuple(inner))
            connection.sendall(str(pid).encode())
        for descriptor in inner:
            os.close(descriptor)


def _ask(order: dict[str, Any], inner: tuple[int, ...]) -> int:
    address = os.environ[ADDRESS]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
        connection.connect(address)
        socket.send_fds(connection, [json.dumps(order).encode()], list(inner))
        return int(connection.recv(64))


def _become(order: dict[str, Any], inner: tuple[int, ...]) -> None:
    """Be what was ordered, in this forked process, and never return."""
    code = 70
    try:
        if order["session"]:
            os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for target, descriptor in enumerate([os.dup(one) for one in inner]):
            os.dup2(descriptor, target)
        os.closerange(3, 4096)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, closefd=False) for number, mode in ((0, "r"), (1, "w"), (2, "w"))
        )
        if order["folder"]:
            os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        from pegbox_runs import faults, secrets

        secrets.redactor.cache_clear()
        faults.arm()
        code = _main_of(order["module"], order["arguments"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  # as the interpreter would end
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main_of(module: str, arguments: list[str]) -> int:
    if module == WORKER:
        from pegbox_worker.__main__ import main as worker

        return worker()
    from pegbox_runs.supervision.intake import Intake
    from pegbox_runs.supervision.policy import RestartPolicy
    from pegbox_runs.supervision.workers import WorkerSupply
    from pegbox_runs.supervisor import supervise

    restarts = RestartPolicy(first_wait_seconds=0.05, longest_wait_seconds=0.2)
    return supervise(Intake(), WorkerSupply(), restarts, adopting="--adopt" in arguments)


def _descriptor(stream: Any) -> int:
    if stream == subprocess.DEVNULL or stream is None:
        return os.open(os.devnull, os.O_RDWR)
    return os.dup(stream if isinstance(stream, int) else stream.fileno())


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1])
