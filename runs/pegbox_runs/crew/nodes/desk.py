"""Node 0's side of a meeting: it waits for the other machines, starts them together, and says goodbye."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from pegbox_methods.events import Notice
from pegbox_methods.refusal import Refusal
from pegbox_runs.changes import current_recipe
from pegbox_runs.crew.nodes.line import LineLost
from pegbox_runs.crew.nodes.place import Nodes, free_port, interface_of, listen
from pegbox_runs.crew.nodes.reception import STILL_SECONDS, Reception
from pegbox_runs.crew.nodes.visitors import End, Visitor, Visitors
from pegbox_runs.crew.nodes.words import Go, Kill, Over, Still, Word
from pegbox_runs.run_folder import RunFolder

PATIENCE_SECONDS = 300.0
"""For machines that haven't come. A person may start them one after another."""
TELL_SECONDS = 3.0
"""Behind which it is told who is waited for."""


class Desk:
    """Greets the machines of one attempt, starts them together, keeps their processes' files here, and says goodbye."""

    def __init__(self, folder: RunFolder, attempt: int, nodes: Nodes) -> None:
        self._nodes = nodes
        self._visitors = Visitors(nodes.nodes)
        self._reception = Reception(folder, attempt, nodes, current_recipe(folder), self._visitors)
        self._listener: socket.socket | None = None
        self._closed = threading.Event()

    def open(self) -> None:
        """Begin to listen. Raises: Refusal: the place isn't this machine's, or it is taken."""
        self._listener = listen(self._nodes.host, self._nodes.port)
        self._reception.begin(self._listener)
        threading.Thread(target=self._keep_up, name="nodes-still", daemon=True).start()

    def await_nodes(
        self,
        over: Callable[[], bool] = lambda: False,
        tell: Callable[[Notice], None] = lambda _: None,
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> bool:
        """Wait until all machines are ready. Returns: whether they are; not so where `over` became true before.

        `tell`: hears once who is waited for, if that takes more than a moment.
        Raises: Refusal: one doesn't fit, or hasn't come in time.
        """
        began, told = time.monotonic(), False
        while not over():
            if self._reception.turned_away is not None:
                raise Refusal(self._reception.turned_away)
            missing = self._visitors.missing()
            if not missing:
                return True
            waited = time.monotonic() - began
            if waited > patience:
                raise Refusal(self._never_came(missing, patience))
            if waited > TELL_SECONDS and not told:
                told = True
                tell(Notice(text=self._waits_for(missing), about="nodes"))
            time.sleep(0.05)
        return False

    def begin(self) -> int:
        """Let all start. Returns: the port at which torch's processes meet on this machine."""
        port = free_port()
        for one in self._visitors.begin():
            self._say(one, Go(port=port))
        return port

    @property
    def interface(self) -> str | None:
        """Name the network interface by which the first machine came: gloo would look the own name up, and may end at
        127.0.1.1.
        """
        for one in self._all():
            with contextlib.suppress(OSError):
                return interface_of(one.line.here)
        return None

    def ends(self) -> dict[int, End]:
        """Give the machines of which no process is left, or nothing is heard any more, by number."""
        return {one.node: one.end for one in self._all() if one.over}

    def kill(self) -> None:
        """Let all machines end their processes."""
        for one in self._all():
            if not one.over:
                self._say(one, Kill())

    def await_dead(self, seconds: float) -> bool:
        """Wait until each machine said that it has no process left. Returns: whether all have, or can't be asked."""
        until = time.monotonic() + seconds
        while not all(one.over for one in self._all()):
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    def close(self, word: Word) -> None:
        """Say how the attempt ended, and hear no more."""
        self._reception.close(word)
        self._closed.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        goodbyes = [threading.Thread(target=self._part, args=(one, word)) for one in self._all()]
        for thread in goodbyes:
            thread.start()
        for thread in goodbyes:
            thread.join()

    def _part(self, visitor: Visitor, word: Word) -> None:
        self._say(visitor, Over(word=word))
        visitor.line.close()

    def _all(self) -> list[Visitor]:
        return self._visitors.all()

    def _waits_for(self, missing: list[int]) -> str:
        them = ", ".join(map(str, missing[:20]))
        return (
            f"waits for {'node' if len(missing) == 1 else 'nodes'} {them} of {self._nodes.nodes}. Start there: "
            f"`{self._nodes.command(missing[0] if len(missing) == 1 else 'K')}`"
        )

    def _never_came(self, missing: list[int], patience: float) -> str:
        minutes = f"{patience / 60:.0f} minutes" if patience >= 120 else f"{patience:.0f} seconds"
        them = f"node {missing[0]}" if len(missing) == 1 else f"nodes {', '.join(map(str, missing[:20]))}"
        have = "hasn't" if len(missing) == 1 else "haven't"
        return (
            f"{them} of {self._nodes.nodes} {have} come within {minutes}; start there: "
            f"`{self._nodes.command(missing[0] if len(missing) == 1 else 'K')}`, and see that port {self._nodes.port} "
            f"of {self._nodes.host} can be reached. `pegbox resume` waits again."
        )

    def _keep_up(self) -> None:
        while not self._closed.wait(STILL_SECONDS):
            for one in self._all():
                if not one.over:
                    self._say(one, Still())

    def _say(self, visitor: Visitor, record: Go | Kill | Over | Still) -> None:
        try:
            visitor.line.say(record)
        except LineLost as lost:
            if visitor.exits is None:
                visitor.lost = visitor.lost or str(lost)
