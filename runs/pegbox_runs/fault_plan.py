"""What a test planned to break, and the breaking. Imported only where PEGBOX_FAULTS is set."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from typing import Annotated, Any

import msgspec

BOUNDARIES = {
    "loading": "worker: before the model is loaded",
    "preparing": "worker: before the rows are prepared",
    "step-begin": "worker: before a step's first micro-batch",
    "update": "worker: the gradients are there, the weights not yet changed",
    "step-end": "worker: the weights are changed, nothing told yet",
    "evaluation": "worker: before a batch of held-out rows",
    "judging": "worker: before the base model, or the kept weights, are judged row by row",
    "sample": "worker: before the model answers a question",
    "checkpoint-write": "worker: before each file of a checkpoint",
    "checkpoint-fsync": "worker: before each file is forced to the disk",
    "checkpoint-manifest": "worker: before the list of files is written",
    "checkpoint-rename": "worker: all is written, the folder hasn't its name yet",
    "checkpoint-rotate": "worker: before an old checkpoint is removed",
    "adapter-write": "worker: before the adapter is written",
    "adapter-rename": "worker: it is written, the folder hasn't its name yet",
    "event-write": "whoever writes the log: before a line",
    "supervisor-start": "supervisor: it has the run, and hasn't started a worker yet",
    "worker-start": "supervisor: the worker is started, and the run not yet handed to it",
    "worker-ended": "supervisor: the worker is gone, and nothing of that is told yet",
    "restarting": "supervisor: another worker is promised, and not started yet",
}
"""Every place that can break, and what it stands for."""

ACTIONS = {
    "kill": "the process kills itself with SIGKILL",
    "exit:N": "the process ends at once with exit code N, nothing flushed",
    "errno:NAME": "OSError of that name, as `errno:ENOSPC`",
    "host-memory": "MemoryError",
    "device-memory": "what torch raises when a device is full",
    "device-lost": "what torch raises when a device is gone",
    "error": "RuntimeError",
    "hang:SECONDS": "it takes that much longer",
    "back:SECONDS": "the clock of this process's events jumps back, and stays so",
    "torn": "only with event-write: half of the line reaches the file",
    "twice": "only with event-write: the line reaches the file two times",
}
"""Every way to break, and what happens."""

_LINE_ACTIONS = {"torn", "twice"}


class BadPlan(ValueError):
    """The plan can't be understood."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that breaks. It means every passing of its boundary, unless the other fields say which."""

    at: str
    """One of BOUNDARIES."""
    do: str
    """One of ACTIONS."""
    step: int | None = None
    """Only where this step is in hand."""
    attempt: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Only in this worker of the run, from 1."""
    rank: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Only in this process of those that carry the run together, from 0."""
    nth: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Only from the n-th passing on that the fields above mean; counted anew in each process."""
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """At most so often in one process; with `nth` alone, once."""

    @property
    def most(self) -> float:
        """How often it may happen in one process."""
        return self.times or (1 if self.nth else float("inf"))


class FaultPlan:
    """The faults of this process, and how often each was met."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.attempt = 1
        self.rank = 0
        self.seconds_back = 0.0
        self._faults = faults
        self._met = [0] * len(faults)
        self._done = [0] * len(faults)
        self._lock = threading.Lock()

    def strike(self, boundary: str, step: int | None) -> None:
        """Do what is planned for a boundary.

        Raises: whatever was planned; ValueError: there is no such boundary.
        """
        if boundary not in BOUNDARIES:
            raise ValueError(f"no boundary is called {boundary!r}")
        for fault in self._due(boundary, step, of_lines=False):
            self._break(fault)

    def mangled(self, line: bytes) -> bytes:
        """Give a line as it will reach the log."""
        for fault in self._due("event-write", None, of_lines=True):
            line = line * 2 if fault.do == "twice" else line[: len(line) // 2]
        return line

    def _due(self, boundary: str, step: int | None, *, of_lines: bool) -> list[Fault]:
        due = []
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.at != boundary or (fault.do in _LINE_ACTIONS) != of_lines:
                    continue
                if fault.step not in (None, step) or fault.attempt not in (None, self.attempt):
                    continue
                if fault.rank not in (None, self.rank):
                    continue
                self._met[index] += 1
                if self._met[index] >= (fault.nth or 1) and self._done[index] < fault.most:
                    self._done[index] += 1
                    due.append(fault)
        return due

    def _break(self, fault: Fault) -> None:
        action, _, value = fault.do.partition(":")
        match action:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)  # the signal may take a moment
            case "exit":
                os._exit(int(value))
            case "errno":
                number = getattr(errno, value)
                raise OSError(number, f"{os.strerror(number)} (planned by a test)")
            case "host-memory":
                raise MemoryError("planned by a test")
            case "device-memory":
                raise _torch_error("OutOfMemoryError")("CUDA out of memory. Tried to allocate 2.00 GiB (planned)")
            case "device-lost":
                raise _torch_error("AcceleratorError")("CUDA error: unspecified launch failure (planned by a test)")
            case "error":
                raise RuntimeError("planned by a test")
            case "hang":
                time.sleep(float(value))
            case "back":
                self.seconds_back += float(value)


def read_plan(text: str) -> FaultPlan:
    """Read a plan from JSON.

    Raises: BadPlan.
    """
    try:
        faults = msgspec.json.decode(text, type=tuple[Fault, ...])
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise BadPlan(f'expected JSON as [{{"at": "step-end", "do": "kill", "step": 5}}]: {error}') from error
    for fault in faults:
        _check(fault)
    return FaultPlan(faults)


def _check(fault: Fault) -> None:
    if fault.at not in BOUNDARIES:
        raise BadPlan(f"no boundary is called {fault.at!r}; there are {', '.join(BOUNDARIES)}")
    action, colon, value = fault.do.partition(":")
    forms = {form.partition(":")[0]: form for form in ACTIONS}
    if action not in forms or bool(colon) != (":" in forms[action]):
        raise BadPlan(f"nothing is called {fault.do!r}; there are {', '.join(ACTIONS)}")
    if action in _LINE_ACTIONS and fault.at != "event-write":
        raise BadPlan(f"{fault.do!r} is of lines: it goes with event-write alone")
    try:
        well = {"exit": lambda: 0 <= int(value) < 256, "errno": lambda: isinstance(getattr(errno, value, None), int)}
        if not well.get(action, lambda: not colon or float(value) >= 0)():
            raise ValueError
    except ValueError:
        raise BadPlan(f"{fault.do!r} isn't of the form {forms[action]}") from None


def _torch_error(name: str) -> Any:
    """Give torch's own exception; torch is there where a device is, and is never imported for this."""
    return getattr(sys.modules.get("torch"), name, RuntimeError)
