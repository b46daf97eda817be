"""What `?` says of the thing that has the focus."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from textual.dom import DOMNode
from textual.screen import Screen


class Explanation(NamedTuple):
    """Plain words. Each may hold text from outside: whoever shows it makes it printable."""

    title: str
    text: str
    source: str = ""
    """Whose word it is: a paper, a guide, a measurement; empty where it is only about the screen."""


@runtime_checkable
class Explains(Protocol):
    """A widget or screen that can say what it, or the part of it that is chosen, means."""

    def explanation(self) -> Explanation | None:
        """Explain; None: whoever holds it shall."""


def explained(screen: Screen[object]) -> Explanation | None:
    """Find the explanation nearest to the focus: of the focused widget, of what holds it, of the screen."""
    node: DOMNode | None = screen.focused or screen
    while node is not None:
        if isinstance(node, Explains) and (found := node.explanation()) is not None:
            return found
        node = node.parent
    return None
