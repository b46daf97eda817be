"""An end to foreign code that never ends: a chat template may hold two nested loops of a hundred thousand each."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TookTooLong(BaseException):
    """Rises inside the code that took too long; no `except Exception` of its own catches it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End what takes longer, if it is Python code: in the main thread by seconds of the processor, else of the clock.

    A busy machine can't end the main thread's work so. A limit inside another one suspends the outer one.
    Raises: TookTooLong.
    """
    if threading.current_thread() is threading.main_thread():
        with _by_signal(seconds):
            yield
    else:
        with _by_another_thread(seconds):
            yield


@contextmanager
def _by_signal(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TookTooLong

    former = signal.signal(signal.SIGVTALRM, stop)
    pending, interval = signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL if former is None else former)
        if pending:
            signal.setitimer(signal.ITIMER_VIRTUAL, pending, interval)


@contextmanager
def _by_another_thread(seconds: float) -> Iterator[None]:
    """Signals reach the main thread only. Source: PyThreadState_SetAsyncExc in Python's C API."""
    thread, guard, over = threading.get_ident(), threading.Lock(), False

    def stop() -> None:
        with guard:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TookTooLong))

    alarm = threading.Timer(seconds, stop)
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        with guard:
            over = True
        alarm.cancel()
