"""`pegbox watch` in a terminal of its own, and logs that grow as a live run's would, for benchmarks."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import pty
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator

import msgspec
import psutil

from pegbox_methods.events import Evaluation, Event, Load, Memory, Prepared, Step, event_encoder
from pegbox_runs.run_folder import RunFolder
from tests.stories import made, prepared, started

GIB = 2**30


class Viewer:
    """A real process with a terminal that somebody reads."""

    def __init__(self, folder: RunFolder, *more: str, columns: int = 80, lines: int = 24) -> None:
        self._terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        words = [sys.executable, "-P", "-m", "pegbox", "watch", folder.id, *more]
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.began = time.monotonic()
        self.process = psutil.Popen(words, stdin=inside, stdout=inside, stderr=inside, env=environment)
        os.close(inside)
        self.received = 0
        """Bytes so far."""
        self._text = bytearray()
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while block := os.read(self._terminal, 65536):
                with self._more:
                    self.received += len(block)
                    self._text += block
                    self._more.notify_all()

    def forget(self) -> None:
        """Let `await_text` look only at what comes from now on."""
        with self._more:
            self._text.clear()

    def press(self, key: bytes) -> None:
        """Type."""
        self.forget()
        os.write(self._terminal, key)

    def await_text(self, text: bytes, seconds: float) -> float:
        """Wait until the terminal was sent a text. Returns: the moment. Raises: TimeoutError."""
        with self._more:
            if not self._more.wait_for(lambda: text in self._text, seconds):
                raise TimeoutError(f"{text!r} never came; the end is {bytes(self._text[-300:])!r}")
            return time.monotonic()

    def core_seconds(self) -> float:
        """Give the processor time that the process has taken."""
        times = self.process.cpu_times()
        return times.user + times.system

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._terminal)


@contextlib.contextmanager
def viewer(folder: RunFolder, *more: str) -> Iterator[Viewer]:
    """Watch a run as long as the block lasts."""
    one = Viewer(folder, *more)
    try:
        yield one
    finally:
        one.end()


def live_step(number: int, seconds: float) -> Step:
    """Take a step as a GPU run tells it: every figure another one each time."""
    noise = math.sin(number * 12.9898) * 0.5 + math.sin(number * 78.233) * 0.5
    return Step(
        step=number,
        epoch=number / 3210,
        loss=0.9 + 2.0 * math.exp(-number / 400) + 0.15 * noise,
        learning_rate=2e-4 * (1 - number / 2_500_000),
        gradient_norm=0.5 + 0.1 * noise,
        tokens=2048 + number % 77,
        padding=100 + number % 13,
        tokens_per_second=5400 + 300 * noise,
        step_seconds=seconds * (1 + 0.05 * noise),
        rows_seconds=0.01 * seconds,
        optimizer_seconds=0.06 * seconds,
        memory=Memory(
            device_now=9 * GIB + round(GIB * noise / 10),
            device_peak=10 * GIB,
            process_now=2 * GIB,
            process_peak=3 * GIB,
        ),
    )


class LiveLog:
    """A run's log that seems to be written by a worker that lives: this process."""

    def __init__(self, steps_planned: int) -> None:
        self.folder = made()
        self._encoder = event_encoder()
        self._seq = 0
        self.newest = 0
        """The step that was told last."""
        self._file = os.open(self.folder.events, os.O_WRONLY | os.O_APPEND)
        self.tell(started(time=time.time()))
        self.tell(self._plan(steps_planned))

    def _plan(self, steps: int) -> Prepared:
        return msgspec.structs.replace(prepared(), steps=steps, device="cuda:0")

    def skip_to(self, step: int) -> None:
        """Go on behind lines that somebody else wrote, numbered as their steps."""
        self._seq = self.newest = step

    def tell(self, *events: Event) -> None:
        """Append events in one write."""
        lines = []
        for event in events:
            self._seq += 1
            timed = msgspec.structs.replace(event, seq=self._seq, time=time.time())
            lines.append(self._encoder.encode(timed))
        os.write(self._file, b"\n".join(lines) + b"\n")

    def tell_step(self, number: int, seconds: float) -> None:
        """Append a step, and now and then what comes with steps."""
        self.newest = number
        events: list[Event] = [live_step(number, seconds)]
        if number % max(round(5 / seconds), 1) == 0:
            busy = 0.9 + (number % 10) / 100
            events.append(
                Load(step=number, device_use=busy, temperature_c=70.0 + number % 5, power_w=240.0, power_limit_w=300.0)
            )
        if number % max(round(30 / seconds), 1) == 0:
            loss = 1.1 + 2 * math.exp(-number / 300)
            events.append(
                Evaluation(
                    step=number,
                    loss=loss,
                    perplexity=math.exp(loss),
                    tokens=99,
                    seconds=2.0,
                    best=True,
                    memory=Memory(),
                )
            )
        self.tell(*events)
