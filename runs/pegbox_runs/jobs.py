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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import msgspec

from pegbox_methods.events import Answered, Event, Failed
from pegbox_runs.event_log import EventReader
from pegbox_runs.launch import worker_environment
from pegbox_runs.printable import printable

Answer = TypeVar("Answer")

LOOK_SECONDS = 0.1
"""How often it is looked whether the answer is still wanted."""
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
    try:
        with tempfile.TemporaryDirectory(prefix="pegbox-job-") as folder:  # 0700, as tempfile makes them
            environment = worker_environment(one_gpu=not every_gpu)
            if gpu is not None:
                environment["CUDA_VISIBLE_DEVICES"] = gpu
            return _ask(Path(folder), job, request, answer, timeout_seconds, environment, left, told)
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        raise JobFailed(f"the job {job} couldn't be started: {named}{error.strerror or error}") from error


def _ask(
    folder: Path,
    job: str,
    request: object,
    answer: type[Answer],
    timeout_seconds: float | None,
    environment: Mapping[str, str],
    left: threading.Event | None,
    told: Callable[[Event], None] | None,
) -> Answer:
    order = JobOrder(job=job, request=msgspec.Raw(msgspec.json.encode(request)))
    (folder / "job.json").write_bytes(msgspec.json.encode(order))
    log = folder / "worker.log"
    with log.open("wb") as printed:
        worker = subprocess.Popen(
            job_command(),
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=printed,
            env=environment,
            bufsize=0,
            cwd="/",
            start_new_session=True,  # so that what it started can be ended with it
        )
    try:
        in_time = _wait(worker, folder, timeout_seconds, left, told)
    finally:
        _end(worker)
    if left is not None and left.is_set():
        raise JobFailed(f"the job {job} was given up")
    return _read(folder, job, answer, worker.returncode, None if in_time else timeout_seconds)


def _wait(
    worker: subprocess.Popen[bytes],
    folder: Path,
    timeout_seconds: float | None,
    left: threading.Event | None,
    told: Callable[[Event], None] | None,
) -> bool:
    """Hand the folder over and wait for the end, or until the answer isn't wanted any more. Returns: whether it came
    in time.

    The pipe stays open meanwhile: its closing tells the worker that nobody waits any more.
    """
    with cast(IO[bytes], worker.stdin) as pipe:
        with contextlib.suppress(OSError):  # it died already, which is told when it is waited for
            pipe.write(os.fsencode(folder) + b"\n")
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        heard = EventReader(folder / "events.jsonl")
        watched = left is not None or told is not None
        while left is None or not left.is_set():
            remaining = max(0.0, deadline - time.monotonic())
            try:
                worker.wait(min(remaining, LOOK_SECONDS) if watched else remaining if remaining < math.inf else None)
            except subprocess.TimeoutExpired:
                _hand_over(heard, told)
                if time.monotonic() >= deadline:
                    return False
                continue
            _hand_over(heard, told)
            return True
        return False


def _hand_over(heard: EventReader, told: Callable[[Event], None] | None) -> None:
    if told is not None:
        for block in heard.new():
            for event in block:
                if isinstance(event, Event):
                    told(event)


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End the worker with all it started, whether it answered, hangs, or the asker was interrupted."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing of it is left
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def _read(folder: Path, job: str, answer: type[Answer], exit_code: int, late: float | None) -> Answer:
    """Take the answer out of the log, whatever happened after it was written.

    `late` is the time limit in seconds where it was exceeded; `exit_code` is negative for a signal.
    """
    tail = _tail(folder / "worker.log")
    told: Any = None
    for block in EventReader(folder / "events.jsonl").new():
        told = block[-1]
    if isinstance(told, Answered):
        try:
            return msgspec.json.decode(told.answer, type=answer)
        except msgspec.ValidationError as error:
            raise JobFailed(f"the job {job} answered something else than was asked for: {error}") from error
    if isinstance(told, Failed):
        raise JobFailed(told.what, log_tail=tail, told=True)
    if late is not None:
        raise JobFailed(f"the job {job} gave no answer within {late:g} s and was ended", log_tail=tail)
    if exit_code < 0:
        name = _signal_name(-exit_code)
        raise JobFailed(f"the worker of the job {job} was ended by {name}", log_tail=tail)
    raise JobFailed(f"the worker of the job {job} ended with exit code {exit_code} and no answer", log_tail=tail)


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
