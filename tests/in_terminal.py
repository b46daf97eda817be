"""A program in a terminal of its own: what it writes, byte for byte, and when."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[1]
ESCAPES = re.compile(rb"\x1b\[[0-9;?<>=$]*[a-zA-Z~]|\x1b[()][A-Z0-9]|\x1b[=>]")


class InTerminal:
    """Started at once; ended with its whole session at the latest when the `with` ends."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, columns: int = 80, lines: int = 24
    ) -> None:
        self.begun = time.perf_counter()
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(ROOT)
                self._terminal = 0
                self.resize(columns, lines)
                os.execve(command[0], list(command), {**_surroundings(), **environment})  # noqa: S606
            finally:
                os._exit(127)
        self.written = b""
        self._waited = 0
        self.exit_status: int | None = None

    def resize(self, columns: int, lines: int) -> None:
        """Make the terminal another size, as dragging its corner does."""
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._terminal, keys)

    def type_all(self, keys: bytes) -> None:
        """Press more keys than the terminal holds at once, while the program reads and writes."""
        while keys:
            _, ready, _ = select.select([], [self._terminal], [], 0.05)
            if ready:
                keys = keys[os.write(self._terminal, keys[:1024]) :]
            self._read(0)

    def wait_for(self, text: str, seconds: float = 15.0) -> float:
        """Read until a text was written after what was last waited for. Returns: when, in seconds from the start."""
        deadline = time.perf_counter() + seconds
        while text.encode() not in (seen := ESCAPES.sub(b"", self.written[self._waited :])):
            if time.perf_counter() > deadline or self._read(0.2) is None:
                raise AssertionError(f"{text!r} was never written, but: {seen[-3000:].decode(errors='replace')}")
        self._waited = len(self.written)
        return time.perf_counter() - self.begun

    def wait_until(self, condition: Callable[[], bool], seconds: float = 15.0) -> None:
        """Read until something is so: a program whose terminal nobody reads stands still."""
        deadline = time.perf_counter() + seconds
        while not condition():
            assert time.perf_counter() < deadline, ESCAPES.sub(b"", self.written)[-3000:].decode(errors="replace")
            self._read(0.02)

    def _read(self, seconds: float) -> bytes | None:
        """Read what there is; None: nobody writes any more."""
        if self._terminal < 0:
            return None
        ready, _, _ = select.select([self._terminal], [], [], seconds)
        if not ready:
            return b""
        try:
            block = os.read(self._terminal, 2**16)
        except OSError:
            return None
        self.written += block
        return block or None

    def wait_for_end(self, seconds: float = 20.0) -> str:
        """Read to the end. Returns: what was written, without what only steers the terminal."""
        deadline = time.perf_counter() + seconds
        while (block := self._read(0.2)) is not None and time.perf_counter() < deadline:
            if not block and self._is_over():
                break
        while not self._is_over():
            assert time.perf_counter() < deadline, "it didn't end"
            time.sleep(0.01)
        return ESCAPES.sub(b"", self.written).decode(errors="replace")

    def _is_over(self) -> bool:
        if self.exit_status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_status = os.waitstatus_to_exitcode(status)
        return self.exit_status is not None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the program alone."""
        os.kill(self.pid, number)

    def colors(self) -> set[tuple[int, int, int]]:
        """Give the colors that were written as red, green and blue."""
        found = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", self.written)
        return {(int(red), int(green), int(blue)) for red, green, blue in found}

    def hang_up(self) -> None:
        """Close the terminal, as a connection that drops does."""
        os.close(self._terminal)
        self._terminal = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_over():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self._terminal >= 0:
            os.close(self._terminal)


def pegbox_command(*arguments: str) -> list[str]:
    """Give the command line of the installed `pegbox`."""
    return [str(Path(sys.executable).parent / "pegbox"), *arguments]


def _surroundings() -> dict[str, str]:
    """Give this process' variables without a terminal's size, which pictures taken before may have left there."""
    here = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    return {**here, "TERM": "xterm-256color"}
