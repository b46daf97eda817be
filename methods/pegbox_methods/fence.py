"""The fence around guests: whatever a plugin does while it comes in, the house goes on."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pluggy

from pegbox_methods import hookspecs
from pegbox_methods.door import Brought, Door

LIMIT_SECONDS = 5.0
"""A plugin that takes longer is left out; a card, or a task, has nothing to do that takes so long."""
SLOW_SECONDS = 0.5
"""A plugin that takes longer is named, as each command waits for it."""
MOST_CHARACTERS = 300
"""Of what an exception says."""


class _Elsewhere:
    """Standard output, but for the threads of guests that hang: what they ever print goes to standard error."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.threads: set[threading.Thread] = set()

    def __getattr__(self, name: str) -> Any:
        theirs = threading.current_thread() in self.threads
        return getattr(sys.stderr if theirs else self._stream, name)


_hanging: set[tuple[str, str, str]] = set()
"""Plugins that didn't come back, so that a long-lived process waits for each only once."""


class Broken(Exception):
    """A plugin that can't be used; the message says why, in one line."""


def brought_by(module: Any, name: str, door: Door[Brought], *, checked: bool) -> Brought:
    """Take the record out of a plugin's module through the hook.

    `checked`: whether its fields are looked at; those of our own are, by tests.
    Raises: Broken; whatever the plugin raises.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=name)
    manager.check_pending()
    answers: list[Any] = getattr(manager.hook, door.hook)()
    if len(answers) != 1:
        raise Broken(f"it doesn't answer the hook {door.hook}")
    wrong = "; ".join(door.faults(answers[0])) if checked else ""
    if wrong:
        raise Broken(wrong)
    record: Brought = answers[0]
    if record.name != name:
        raise Broken(f'it is installed as "{name}" but its {door.record} is called "{record.name}"')
    return record


def load_here(load: Callable[[], Any], name: str, door: Door[Brought]) -> Brought:
    """Bring in a plugin of our own, in this thread.

    Raises: Broken.
    """
    try:
        return brought_by(load(), name, door, checked=False)
    except Exception as error:
        raise Broken(one_line_of(error)) from error


def load_fenced(load: Callable[[], Any], name: str, origin: str, door: Door[Brought]) -> tuple[Brought, float]:
    """Bring in a guest in a thread of its own, and wait for it no longer than the limit.

    A thread can't be ended: one that hangs is left behind, and ends with the process. What the guest prints goes to
    standard error, because standard output may be JSON.
    Returns: (what it brings, seconds it took).
    Raises: Broken.
    """
    key = (door.kind, origin, name)
    if key in _hanging:
        raise Broken(_too_long())
    found: list[Brought] = []
    wrong: list[str] = []

    def attempt() -> None:
        try:
            found.append(brought_by(load(), name, door, checked=True))
        except BaseException as error:  # noqa: BLE001  # SystemExit too: a guest may raise anything
            wrong.append(one_line_of(error))

    began = time.monotonic()
    thread = threading.Thread(target=attempt, name=f"loading {name}", daemon=True)
    with contextlib.redirect_stdout(sys.stderr):
        thread.start()
        thread.join(LIMIT_SECONDS)
    if thread.is_alive():
        _hanging.add(key)
        if not isinstance(sys.stdout, _Elsewhere):
            sys.stdout = _Elsewhere(sys.stdout)
        sys.stdout.threads.add(thread)
        raise Broken(_too_long())
    if wrong:
        raise Broken(wrong[0])
    return found[0], time.monotonic() - began


def one_line_of(error: BaseException) -> str:
    """Say in one line what an exception says; of those that aren't ours, with its name."""
    try:
        said = " ".join(str(error).split())[:MOST_CHARACTERS]
    except Exception:  # noqa: BLE001  # a guest's exception may not even be able to say what it is
        said = ""
    if isinstance(error, Broken):
        return said
    kind = type(error).__name__
    return f"{kind}: {said}" if said else kind


def _too_long() -> str:
    return f"it takes longer than {LIMIT_SECONDS:g} s to come in"
