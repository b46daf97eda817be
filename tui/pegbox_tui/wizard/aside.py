"""Threads for what may hang: a driver, torch, the network. Nobody waits for them when the wizard is left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from textual.message import Message
from textual.message_pump import MessagePump


def aside(find: Callable[[], Message], to: MessagePump, left: threading.Event) -> None:
    """Have something found out, and its message posted; unless the screen was left meanwhile.

    `find` must not raise.
    """

    def work() -> None:
        message = find()
        if not left.is_set():
            with suppress(RuntimeError):  # the app ended between the two lines
                to.post_message(message)

    threading.Thread(target=work, name=getattr(find, "__name__", "aside"), daemon=True).start()
