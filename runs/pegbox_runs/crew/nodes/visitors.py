"""The machines that have come to node 0, and what is known of each."""

from __future__ import annotations

import contextlib
import signal
import threading
from dataclasses import dataclass, field

from pegbox_runs.crew.nodes.line import Line
from pegbox_runs.crew.nodes.words import FromNode


@dataclass
class Visitor:
    """A machine that has come."""

    node: int
    host: str
    line: Line[FromNode]
    ready: bool = False
    exits: dict[int, int | None] | None = None
    """By rank, once none of its processes lives."""
    lost: str | None = None
    """Why nothing is heard of it any more."""
    left: str | None = None
    """Why it went by itself."""

    @property
    def over(self) -> bool:
        """Whether nothing of it takes part any more, as far as can be known."""
        return self.exits is not None or self.lost is not None or self.left is not None

    @property
    def end(self) -> End:
        """Say how its part ended."""
        lost = self.lost if self.exits is None and self.left is None else None
        return End(self.node, self.host, self.exits or {}, lost, self.left)


@dataclass(frozen=True)
class End:
    """How the part of one machine ended."""

    node: int
    host: str
    exits: dict[int, int | None] = field(default_factory=dict)
    """By rank: its exit code, less than 0 for a signal's number; None: nobody saw its end."""
    lost: str | None = None
    """Why nothing is heard of the machine any more; None: it said how its processes ended."""
    left: str | None = None
    """Why it went by itself; None: it didn't."""

    @property
    def gone(self) -> str | None:
        """Say in words why the machine takes no part any more, whatever its processes did; None: it does."""
        if self.left is not None:
            return f"node {self.node} ({self.host}) left: {self.left}"
        return None if self.lost is None else f"node {self.node} ({self.host}) is lost: {self.lost}"

    def said(self, rank: int) -> str | None:
        """Say in words how a process ended; None: by itself and well, or it isn't known."""
        if self.lost is not None:
            return f"nothing is heard of its machine any more: {self.lost}"
        code = self.exits.get(rank)
        if not code:
            return None
        if code > 0:
            return f"it ended with exit code {code}"
        with contextlib.suppress(ValueError):
            return f"it was killed by {signal.Signals(-code).name}"
        return f"it was killed by signal {-code}"


class Visitors:
    """All of them, one of each number. Any thread may ask."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._by_node: dict[int, Visitor] = {}
        self._lock = threading.Lock()
        self._begun = False

    def all(self) -> list[Visitor]:
        """Give them, by number."""
        with self._lock:
            return [self._by_node[node] for node in sorted(self._by_node)]

    def missing(self) -> list[int]:
        """Name the machines that haven't come, or aren't ready."""
        ready = {one.node for one in self.all() if one.ready and not one.over}
        return [node for node in range(1, self._nodes) if node not in ready]

    def holder(self, node: int) -> Visitor | None:
        """Give who takes part under a number now; None: nobody."""
        with self._lock:
            known = self._by_node.get(node)
        return None if known is None or known.over else known

    def admit(self, visitor: Visitor) -> bool:
        """Let a machine take part. Returns: whether it does: not where another has its number, or all have begun."""
        with self._lock:
            known = self._by_node.get(visitor.node)
            if self._begun or (known is not None and not known.over):
                return False
            self._by_node[visitor.node] = visitor
            return True

    def begin(self) -> list[Visitor]:
        """Let nobody come any more: who was lost stays lost in this attempt. Returns: all that take part."""
        with self._lock:
            self._begun = True
        return self.all()

    @property
    def begun(self) -> bool:
        """Whether nobody can come any more."""
        with self._lock:
            return self._begun
