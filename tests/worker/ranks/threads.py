"""Several processes' view of each other, as threads of this one: what they ask and answer is the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

WAIT_SECONDS = 30.0
Result = TypeVar("Result")


class Table:
    """Where all threads lay down what they have, and read what lies there."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.laid: list[tuple[float, ...]] = [()] * processes
        self.barrier = threading.Barrier(processes, timeout=WAIT_SECONDS)


class Sitting:
    """One thread's view, in place of `Together`."""

    def __init__(self, table: Table, rank: int) -> None:
        self._table = table
        self.rank = self.local_rank = rank
        self.processes = table.processes
        self.leads = rank == 0

    def agree(self, content: bytes) -> bytes:
        return self.collect(content)[0]

    def collect(self, content: bytes) -> list[bytes]:
        return [bytes(map(int, figures)) for figures in self.gather(list(content))]

    def gather(self, figures: Sequence[float]) -> list[tuple[float, ...]]:
        self._table.laid[self.rank] = tuple(figures)
        self._table.barrier.wait()
        found = list(self._table.laid)
        self._table.barrier.wait()
        return found

    def total(self, figures: Sequence[float]) -> tuple[float, ...]:
        return tuple(map(sum, zip(*self.gather(figures), strict=True)))

    def wait(self) -> None:
        self.total([0.0])


def together(processes: int, work: Callable[[Sitting], Result]) -> list[Result]:
    """Let all do the same at once. Returns: what each came to, by rank."""
    table, found, faults = Table(processes), dict[int, Result](), list[BaseException]()

    def one(rank: int) -> None:
        try:
            found[rank] = work(Sitting(table, rank))
        except BaseException as fault:  # noqa: BLE001  # raised where they are awaited
            faults.append(fault)
            table.barrier.abort()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * WAIT_SECONDS)
    if faults:
        raise faults[0]
    return [found[rank] for rank in range(processes)]
