"""Threads that nobody waits for at the end: leaving is at once, whatever is still being looked up."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")

NAME = "pegbox-loose"
WAITING = {"textual-output", "draft"}
"""Threads that wait for work for as long as the program lives."""
LEAVING_SECONDS = 1.0
"""What a person who left still waits for their prompt at most."""


class LooseThreads(ThreadPoolExecutor):
    """A thread for each call, as a daemon. asyncio and the interpreter would both wait for those of a usual pool: a
    question to a slow disk, a worker or the Hub would hold the terminal of a person who left.

    What a thread does must therefore be whole or harmless at each moment, as if the process were killed.
    """

    def submit(self, fn: Callable[..., Result], /, *given: Any, **named: Any) -> Future[Result]:
        """Call it in a thread of its own."""
        future: Future[Result] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*given, **named))
            except BaseException as error:  # noqa: BLE001 - whoever awaits the future gets it
                future.set_exception(error)

        threading.Thread(target=call, name=NAME, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - the base class's
        """Wait a little, and no longer."""
        let_them_end()


def let_them_end() -> None:
    """Wait a little: a run that is being started is handed over whole, a job's folder is removed."""
    deadline = time.monotonic() + LEAVING_SECONDS
    for thread in loose_threads():
        thread.join(max(0.0, deadline - time.monotonic()))


def loose_threads() -> list[threading.Thread]:
    """List those that still look something up, whoever started them."""
    return [thread for thread in threading.enumerate() if thread.daemon and thread.name not in WAITING]


def end_at_once(code: int) -> None:
    """End the process where threads still work: the interpreter, taken down around them, may crash in a library."""
    if loose_threads():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
