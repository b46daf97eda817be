"""Who carries out orders: this process for small sources, others beside it for big ones. The answers are the same."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import IO, BinaryIO, Protocol, Self, TypeVar, cast

import msgspec

from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.rows.survey.framing import receive, send
from pegbox_runs.rows.survey.orders import Answer, Failed, Order, Plan, Portion, Shingles

AHEAD = 2
"""Orders for each process that are under way or done before the first is asked for: bounds what waits in memory."""


ODD = "a process that reads the rows answered something else than it was asked; begin again."
Given = TypeVar("Given", Portion, Shingles)
_decode: Callable[[bytes], Answer] = msgspec.msgpack.Decoder(Answer).decode


class Workforce(Protocol):
    """Carries out orders, and ends with the `with` that it was opened in."""

    def answers(self, orders: Iterable[Order], kind: type[Given]) -> Iterator[Given]:
        """Give the answers, all of a kind, in the orders' own order. Raises: Refusal: one couldn't be carried out."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def workforce(plan: Plan, processes: int) -> Workforce:
    """Hire so many processes; one is this one."""
    return Alone(plan) if processes <= 1 else Processes(plan, processes)


class Alone:
    """Carries out orders in this process, one by one as they are asked for."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def answers(self, orders: Iterable[Order], kind: type[Given]) -> Iterator[Given]:
        """Answer as asked."""
        from pegbox_runs.rows.survey.part import carry_out

        for order in orders:
            yield _given(carry_out(order, self.plan), kind)


class Processes:
    """Lets other processes carry out orders, each of which ends when this one does."""

    def __init__(self, plan: Plan, count: int) -> None:
        self._free: SimpleQueue[_Process] = SimpleQueue()
        self._all = [_Process(plan) for _ in range(count)]
        for process in self._all:
            self._free.put(process)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="survey")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._all:
            process.kill()  # also frees the threads that wait for an answer nobody wants any more
        self._threads.shutdown(cancel_futures=True)
        for process in self._all:
            process.close()

    def answers(self, orders: Iterable[Order], kind: type[Given]) -> Iterator[Given]:
        """Keep every process busy, and answer in the orders' order."""
        waiting: deque[Future[Answer]] = deque()
        for order in orders:
            waiting.append(self._threads.submit(self._carry_out, order))
            if len(waiting) > AHEAD * len(self._all):
                yield _given(waiting.popleft().result(), kind)
        while waiting:
            yield _given(waiting.popleft().result(), kind)

    def _carry_out(self, order: Order) -> Answer:
        process = self._free.get()
        try:
            return process.ask(order)
        finally:
            self._free.put(process)


class _Process:
    """One other process, and the pipes to it."""

    def __init__(self, plan: Plan) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        # One thread each: there are as many processes as cores.
        single = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pegbox_runs.rows.survey"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=os.environ | single,
        )
        self._orders = cast(BinaryIO, self._process.stdin)
        self._answers = cast(BinaryIO, self._process.stdout)
        self._plan: Plan | None = plan
        """To be sent before the first order."""

    def ask(self, order: Order) -> Answer:
        """Send an order and wait for the answer. Raises: Refusal: the process ended, or answers something else."""
        try:
            if self._plan is not None:
                send(self._orders, msgspec.msgpack.encode(self._plan))
                self._plan = None
            send(self._orders, msgspec.msgpack.encode(order))
            message = receive(self._answers)
        except OSError:
            message = None
        if message is None:
            raise Refusal(self._why_it_ended())
        try:
            return _decode(message)
        except msgspec.DecodeError:
            raise Refusal(ODD) from None

    def kill(self) -> None:
        """End the process at once: it holds nothing that anybody needs."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close what led to the process."""
        for pipe in (self._orders, self._answers, self._said):
            with suppress(OSError):  # what was still to be written to it
                pipe.close()

    def _why_it_ended(self) -> str:
        code = self._process.wait()
        self._said.seek(0)
        lines = self._said.read()[-4000:].decode(errors="replace").strip().splitlines()
        if code == -9:
            return "a process that reads the rows was killed, most likely because the memory didn't suffice."
        said = f": {one_line(lines[-1], 200)}" if lines else ""
        return f"a process that reads the rows ended with {code}{said}."


def _given(answer: Answer, kind: type[Given]) -> Given:
    if isinstance(answer, kind):
        return answer
    raise Refusal(answer.sentence if isinstance(answer, Failed) else ODD)
