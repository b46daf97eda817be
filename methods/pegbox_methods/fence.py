"""The fence around guests: whatever a plugin does while it comes in, the house goes on."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import pluggy

from pegbox_methods import hookspecs
from pegbox_methods.card import Card
from pegbox_methods.card_check import card_faults

LIMIT_SECONDS = 5.0
"""A plugin that takes longer is left out; a card has nothing to do that takes so long."""
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


_hanging: set[tuple[str, str]] = set()
"""Plugins that didn't come back, so that a long-lived process waits for each only once."""


class Broken(Exception):
    """A plugin that can't be used; the message says why, in one line."""


def card_of(module: Any, name: str, *, checked: bool) -> Card:
    """Take the card out of a plugin's module through the hook.

    `checked`: whether its fields are looked at; those of our own are, by tests.
    Raises: Broken; whatever the plugin raises.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name=name)
    manager.check_pending()
    answers: list[Any] = manager.hook.pegbox_card()
    if len(answers) != 1:
        raise Broken("it doesn't answer the hook pegbox_card")
    wrong = "; ".join(card_faults(answers[0])) if checked else ""
    if wrong:
        raise Broken(wrong)
    card: Card = answers[0]
    if card.name != name:
        raise Broken(f'it is installed as "{name}" but its card is called "{card.name}"')
    return card


def load_here(load: Callable[[], Any], name: str) -> Card:
    """Bring in a plugin of our own, in this thread.

    Raises: Broken.
    """
    try:
        return card_of(load(), name, checked=False)
    except Exception as error:
        raise Broken(one_line_of(error)) from error


def load_fenced(load: Callable[[], Any], name: str, origin: str) -> tuple[Card, float]:
    """Bring in a guest in a thread of its own, and wait for it no longer than the limit.

    A thread can't be ended: one that hangs is left behind, and ends with the process. What the guest prints goes to
    standard error, because standard output may be JSON.
    Returns: (its card, seconds it took).
    Raises: Broken.
    """
    if (origin, name) in _hanging:
        raise Broken(_too_long())
    found: dict[Literal["card"], Card] = {}
    wrong: list[str] = []

    def attempt() -> None:
        try:
            found["card"] = card_of(load(), name, checked=True)
        except BaseException as error:  # noqa: BLE001  # SystemExit too: a guest may raise anything
            wrong.append(one_line_of(error))

    began = time.monotonic()
    thread = threading.Thread(target=attempt, name=f"loading {name}", daemon=True)
    with contextlib.redirect_stdout(sys.stderr):
        thread.start()
        thread.join(LIMIT_SECONDS)
    if thread.is_alive():
        _hanging.add((origin, name))
        if not isinstance(sys.stdout, _Elsewhere):
            sys.stdout = _Elsewhere(sys.stdout)
        sys.stdout.threads.add(thread)
        raise Broken(_too_long())
    if wrong:
        raise Broken(wrong[0])
    return found["card"], time.monotonic() - began


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
