"""Node 0's side: where the other machines come to, and what they say of their processes."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pegbox_methods.events import Notice
from pegbox_methods.refusal import Refusal
from pegbox_runs.changes import current_recipe
from pegbox_runs.crew.nodes.differing import differing_versions, versions_here
from pegbox_runs.crew.nodes.line import LONGEST_HELLO, LONGEST_LINE, Line, LineLost
from pegbox_runs.crew.nodes.place import Nodes, free_port, listen
from pegbox_runs.crew.nodes.words import (
    Beats,
    Ended,
    FromNode,
    Go,
    Hello,
    Kill,
    Over,
    Ready,
    Sorry,
    Still,
    Welcome,
    Word,
    in_our_time,
)
from pegbox_runs.crew.rank_files import write_rank
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder

PATIENCE_SECONDS = 300.0
"""For machines that haven't come. A person may start them one after another."""
WORD_SECONDS = 15.0
"""For an answer in the greeting."""
STILL_SECONDS = 1.0
TELL_SECONDS = 3.0
"""Behind which it is told who is waited for."""


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

    @property
    def over(self) -> bool:
        """Whether nothing of it takes part any more, as far as can be known."""
        return self.exits is not None or self.lost is not None


@dataclass(frozen=True)
class End:
    """How the part of one machine ended."""

    node: int
    host: str
    exits: dict[int, int | None] = field(default_factory=dict)
    """By rank: its exit code, less than 0 for a signal's number; None: nobody saw its end."""
    lost: str | None = None
    """Why nothing is heard of the machine any more; None: it said how its processes ended."""

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


class Desk:
    """Greets the machines of one attempt, starts them together, keeps their processes' files here, and says goodbye."""

    def __init__(self, folder: RunFolder, attempt: int, nodes: Nodes) -> None:
        self._folder, self._attempt, self._nodes = folder, attempt, nodes
        recipe = current_recipe(folder)
        self._quantized = recipe.model.quantization == "nf4" or "qlora" in recipe.method.name
        self._per_node = max(1, recipe.devices.processes // nodes.nodes)
        self._visitors: dict[int, Visitor] = {}
        self._turned_away: str | None = None
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._closed = threading.Event()

    def open(self) -> None:
        """Begin to listen. Raises: Refusal: the place isn't this machine's, or it is taken."""
        self._listener = listen(self._nodes.host, self._nodes.port)
        threading.Thread(target=self._receive, name="nodes", daemon=True).start()
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
            if self._turned_away is not None:
                raise Refusal(self._turned_away)
            missing = self._missing()
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
        for one in self._all():
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
        return {
            one.node: End(one.node, one.host, one.exits or {}, one.lost if one.exits is None else None)
            for one in self._all()
            if one.over
        }

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
        with self._lock:
            return [self._visitors[node] for node in sorted(self._visitors)]

    def _missing(self) -> list[int]:
        ready = {one.node for one in self._all() if one.ready and not one.over}
        return [node for node in range(1, self._nodes.nodes) if node not in ready]

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

    def _receive(self) -> None:
        while self._listener is not None and not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._closed.is_set():
                    return
                time.sleep(0.1)
                continue
            threading.Thread(target=self._greet, args=(connection,), name="node", daemon=True).start()

    def _greet(self, connection: socket.socket) -> None:
        """Hear who comes; a stranger is heard once, and no more."""
        line: Line[FromNode] = Line(connection, FromNode, longest=LONGEST_HELLO)
        visitor = None
        try:
            hello = line.hear(WORD_SECONDS)
            if not isinstance(hello, Hello):
                line.close()
                return
            wrong = self._obstacle(hello)
            if wrong is not None:
                line.say(Sorry(what=wrong))
                line.close()
                return
            line.longest = LONGEST_LINE
            visitor = Visitor(hello.node, one_line(hello.host, 255), line)
            with self._lock:
                self._visitors[hello.node] = visitor
            line.say(self._welcome())
            self._listen_to(visitor)
        except LineLost as lost:
            if visitor is not None:
                visitor.lost = str(lost)
            line.close()

    def _obstacle(self, hello: Hello) -> str | None:
        """Say why a machine can't take part; what is wrong with one of the run's own ends the attempt too."""
        them = f"node {hello.node} ({one_line(hello.host, 255)})"
        if hello.nodes != self._nodes.nodes or not 1 <= hello.node < self._nodes.nodes:
            return (
                f"this run is on {self._nodes.nodes} machines, numbered from 0 to {self._nodes.nodes - 1}, and {them} "
                f"came as one of {hello.nodes}. Give all the same --nodes, and each a --node-rank of its own."
            )
        with self._lock:
            known = self._visitors.get(hello.node)
        if known is not None and not known.over:
            return f"node {hello.node} has come already, from {known.host}. Give each machine a --node-rank of its own."
        differing, _ = differing_versions(hello.versions, versions_here(), quantized=self._quantized)
        if differing:
            self._turned_away = (
                f"{them} has other versions than node 0 ({socket.gethostname()}), and they might compute something "
                f"else: {one_line('; '.join(differing), 600)} (here: {them}). Install the same on both."
            )
            return self._turned_away
        return None

    def _welcome(self) -> Welcome:
        folder = self._folder
        return Welcome(
            run=folder.id,
            attempt=self._attempt,
            recipe=folder.recipe.read_text(encoding="utf-8"),
            changes=folder.changes.read_text(encoding="utf-8") if folder.changes.exists() else "",
            environment=folder.environment.read_text(encoding="utf-8"),
        )

    def _listen_to(self, visitor: Visitor) -> None:
        """Take what a machine says until it is gone."""
        while not self._closed.is_set():
            said = visitor.line.hear(1.0)
            if isinstance(said, Ready):
                visitor.ready = True
            elif isinstance(said, Beats):
                self._keep(visitor, said)
            elif isinstance(said, Ended):
                visitor.exits = said.exits
            elif isinstance(said, Sorry):
                visitor.lost = one_line(said.what, 1000)
                if not visitor.ready:
                    self._turned_away = f"node {visitor.node} ({visitor.host}): {visitor.lost}"

    def _keep(self, visitor: Visitor, beats: Beats) -> None:
        """Write what processes of that machine say into the run's folder, as those of this machine do."""
        own = range(visitor.node * self._per_node, (visitor.node + 1) * self._per_node)
        for record in in_our_time(beats):
            if record.attempt == self._attempt and record.rank in own:
                with contextlib.suppress(OSError):
                    write_rank(self._folder, record)

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


def interface_of(address: str) -> str | None:
    """Name the network interface that has an address; None: there is none."""
    import psutil  # here, since only several machines need it

    for name, addresses in psutil.net_if_addrs().items():
        if any(one.address == address for one in addresses):
            return str(name)
    return None
