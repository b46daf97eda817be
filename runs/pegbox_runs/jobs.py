"""Small questions that need torch, each answered by a throw-away worker: it may crash or hang, and nobody else does."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TypeVar, cast

import msgspec

from pegbox_methods.events import Answered, Event, Failed
from pegbox_runs.event_log import EventReader
from pegbox_runs.launch import worker_environment
from pegbox_runs.printable import printable

Answer = TypeVar("Answer")

LOOK_SECONDS = 0.1
"""How often it is looked whether the answer is still wanted."""
UNTOLD = 74
"""Exit code of a worker whose last words couldn't be written. Source: EX_IOERR in BSD's sysexits.h."""
LOG_LINES = 30
"""Of what the worker printed, so many last lines go with a failure."""
LOG_BYTES = 64 * 1024


class JobFailed(Exception):
    """A job gave no answer. `sentence` says why; `log_tail` holds the last lines that the worker printed.

    `told` is whether the worker itself said why; where it crashed or hung, the log may say more than the sentence.
    """

    def __init__(self, sentence: str, *, log_tail: str = "", told: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.log_tail = log_tail
        self.told = told

    @property
    def last_words(self) -> str:
        """What the worker printed last, where it couldn't say itself why; empty: the sentence says it all."""
        return "" if self.told else self.log_tail

    @property
    def explained(self) -> str:
        """The sentence, and in the lines below it the last words."""
        return f"{self.sentence}\n{self.last_words}".rstrip()


class JobOrder(msgspec.Struct, frozen=True, kw_only=True):
    """job.json: which job of the worker, and what it is asked."""

    job: str
    """Its name in the table of `pegbox_worker.jobs`."""
    request: msgspec.Raw
    """Whatever that job takes, as JSON."""


def job_command() -> list[str]:
    """Give the command line of a worker of jobs; it waits on its standard input for a job's folder."""
    return [sys.executable, "-P", "-m", "pegbox_worker.jobs"]


def ask_worker(
    job: str,
    request: object,
    answer: type[Answer],
    *,
    timeout_seconds: float | None,
    every_gpu: bool = False,
    gpu: str | None = None,
    left: threading.Event | None = None,
    told: Callable[[Event], None] | None = None,
) -> Answer:
    """Have one job done in a process of its own, and wait for its answer. Another thread may set `left` to give it up.

    `request` is anything msgspec can encode; `answer` the type that the job's answer is decoded as. The worker sees
    the one GPU that a run would get, or with `every_gpu` all that the user made visible; `gpu`: what
    CUDA_VISIBLE_DEVICES shall name in place of that. `told` hears what the job says meanwhile, and its end.
    `timeout_seconds`: None: it may take as long as it takes.

    Raises: JobFailed: the worker failed, crashed, answered something else, or took longer than `timeout_seconds`.
    """
    opened = OpenJob(job, request, every_gpu=every_gpu, gpu=gpu)
    try:
        in_time = _wait(opened, timeout_seconds, left, told)
        exit_code = opened.end()
        if left is not None and left.is_set():
            raise JobFailed(f"the job {job} was given up")
        return _read(opened.folder, job, answer, exit_code, None if in_time else timeout_seconds)
    finally:
        opened.close()


class OpenJob:
    """A worker with one job, which may be told more and says more for as long as it is open. Close it in any case.

    The pipe to it stays open meanwhile: its closing tells the worker that nobody waits any more.
    """

    def __init__(self, job: str, request: object, *, every_gpu: bool = False, gpu: str | None = None) -> None:
        """Start it; arguments as for `ask_worker`. Raises: JobFailed: it couldn't be started."""
        self.job = job
        try:
            self._place = tempfile.TemporaryDirectory(prefix="pegbox-job-")  # 0700, as tempfile makes them
        except OSError as error:
            raise _unstarted(job, error) from error
        try:
            environment = worker_environment(one_gpu=not every_gpu)
            if gpu is not None:
                environment["CUDA_VISIBLE_DEVICES"] = gpu
            self._worker = _start(self.folder, JobOrder(job=job, request=_raw(request)), environment)
        except OSError as error:
            self._place.cleanup()
            raise _unstarted(job, error) from error
        except BaseException:
            self._place.cleanup()
            raise
        self._heard = EventReader(self.folder / "events.jsonl")
        self._ended = False
        self._write(os.fsencode(self.folder))

    @property
    def folder(self) -> Path:
        """Where its request, its log and what it printed lie, until it is closed."""
        return Path(self._place.name)

    def say(self, record: object) -> bool:
        """Tell it more: a line of JSON. Returns: whether there was somebody to tell it."""
        return self._write(msgspec.json.encode(record))

    def heard(self) -> Iterator[Event]:
        """Give what it said since the last time."""
        for block in self._heard.new():
            for event in block:
                if isinstance(event, Event):
                    yield event

    def wait(self, seconds: float | None) -> bool:
        """Wait for its end, at most so long. Returns: whether it has ended."""
        try:
            self._worker.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def failure(self) -> JobFailed:
        """Say why it ended, of a job that has, and that was to go on until it is closed."""
        return _ended(self.job, _last_said(self.folder), self.end(), None, _tail(self.folder / "worker.log"))

    def end(self) -> int:
        """End the worker with all it started, whether it is done, hangs, or the asker was interrupted. Returns: its
        exit code, negative for a signal."""
        if not self._ended:
            with contextlib.suppress(OSError):
                cast(IO[bytes], self._worker.stdin).close()
            with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing of it is left
                os.killpg(self._worker.pid, signal.SIGKILL)
            self._ended = True  # from now on its number may be another process's
        return self._worker.wait()

    def close(self) -> None:
        """End it, and remove what it left."""
        self.end()
        self._place.cleanup()

    def _write(self, line: bytes) -> bool:
        """Write a line; where the worker died already, that is told when it is waited for."""
        try:
            rest = memoryview(line + b"\n")
            while rest:
                rest = rest[cast(IO[bytes], self._worker.stdin).write(rest) :]
        except (OSError, ValueError):
            return False
        return True


def _raw(request: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(request))


def _unstarted(job: str, error: OSError) -> JobFailed:
    named = f"{error.filename}: " if error.filename else ""
    return JobFailed(f"the job {job} couldn't be started: {named}{error.strerror or error}")


def _start(folder: Path, order: JobOrder, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    (folder / "job.json").write_bytes(msgspec.json.encode(order))
    with (folder / "worker.log").open("wb") as printed:
        return subprocess.Popen(
            job_command(),
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=printed,
            env=environment,
            bufsize=0,
            cwd="/",
            start_new_session=True,  # so that what it started can be ended with it
        )


def _wait(
    opened: OpenJob,
    timeout_seconds: float | None,
    left: threading.Event | None,
    told: Callable[[Event], None] | None,
) -> bool:
    """Wait for the end, or until the answer isn't wanted any more. Returns: whether it came in time."""
    deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
    watched = left is not None or told is not None
    while left is None or not left.is_set():
        remaining = max(0.0, deadline - time.monotonic())
        ended = opened.wait(min(remaining, LOOK_SECONDS) if watched else remaining if remaining < math.inf else None)
        if told is not None:
            for event in opened.heard():
                told(event)
        if ended or time.monotonic() >= deadline:
            return ended
    return False


def _read(folder: Path, job: str, answer: type[Answer], exit_code: int, late: float | None) -> Answer:
    """Take the answer out of the log, whatever happened after it was written.

    `late` is the time limit in seconds where it was exceeded; `exit_code` is negative for a signal.
    """
    told = _last_said(folder)
    if isinstance(told, Answered):
        try:
            return msgspec.json.decode(told.answer, type=answer)
        except msgspec.ValidationError as error:
            raise JobFailed(f"the job {job} answered something else than was asked for: {error}") from error
    raise _ended(job, told, exit_code, late, _tail(folder / "worker.log"))


def _last_said(folder: Path) -> Answered | Failed | None:
    """Find the last event that may end a job; of several threads one may have said something behind it."""
    told: Answered | Failed | None = None
    for block in EventReader(folder / "events.jsonl").new():
        told = next((event for event in reversed(block) if isinstance(event, (Answered, Failed))), told)
    return told


def _ended(job: str, told: Answered | Failed | None, exit_code: int, late: float | None, tail: str) -> JobFailed:
    """Say why a job ended that was to go on, or to answer; `told` is no answer to what it was asked."""
    if isinstance(told, Failed):
        return JobFailed(told.what, log_tail=tail, told=True)
    if late is not None:
        return JobFailed(f"the job {job} gave no answer within {late:g} s and was ended", log_tail=tail)
    if exit_code < 0:
        return JobFailed(f"the worker of the job {job} was ended by {_signal_name(-exit_code)}", log_tail=tail)
    if exit_code == UNTOLD:
        return JobFailed(
            f"the job {job} is done, and its answer couldn't be written to {tempfile.gettempdir()}: the disk is full, "
            "or the answer is larger than a file may be here (ulimit -f). Free some space, or name another folder in "
            "TMPDIR.",
            told=True,
        )
    return JobFailed(f"the worker of the job {job} ended with exit code {exit_code} and no answer", log_tail=tail)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LOG_BYTES))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return "\n".join(printable(line) for line in lines[-LOG_LINES:])
