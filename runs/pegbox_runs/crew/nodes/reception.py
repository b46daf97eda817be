"""Where the other machines of a run come to: who may take part, and what each says from then on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_runs.crew.nodes.differing import differing_versions, versions_here
from pegbox_runs.crew.nodes.line import LONGEST_HELLO, LONGEST_LINE, Line, LineLost
from pegbox_runs.crew.nodes.place import Nodes
from pegbox_runs.crew.nodes.visitors import Visitor, Visitors
from pegbox_runs.crew.nodes.words import (
    Beats,
    Ended,
    FromNode,
    Hello,
    Left,
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

WORD_SECONDS = 15.0
"""For an answer in the greeting."""
STILL_SECONDS = 1.0
MOST_STRANGERS = 64
"""Of those who haven't said yet who they are, at once; more are sent away unheard."""


class Reception:
    """Greets who comes, in a thread for each, until it is closed."""

    def __init__(self, folder: RunFolder, attempt: int, nodes: Nodes, recipe: Recipe, visitors: Visitors) -> None:
        self._folder, self._attempt, self._nodes, self._visitors = folder, attempt, nodes, visitors
        self._quantized = recipe.model.quantization == "nf4" or "qlora" in recipe.method.name
        self._per_node = max(1, recipe.devices.processes // nodes.nodes)
        self._closed = threading.Event()
        self._strangers = threading.BoundedSemaphore(max(MOST_STRANGERS, 2 * nodes.nodes))
        self._word: Word = "again"
        self.turned_away: str | None = None
        """Why one of the run's own machines can't take part, which ends the attempt."""

    def begin(self, listener: socket.socket) -> None:
        """Receive who comes there, from now on."""
        threading.Thread(target=self._receive, args=(listener,), name="nodes", daemon=True).start()

    def close(self, word: Word) -> None:
        """Hear no more. `word`: for those that came too late to take part; the first one counts."""
        if not self._closed.is_set():
            self._word = word
            self._closed.set()

    def _receive(self, listener: socket.socket) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                if self._closed.is_set():
                    return
                time.sleep(0.1)
                continue
            if not self._strangers.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._greet, args=(connection,), name="node", daemon=True).start()

    def _greet(self, connection: socket.socket) -> None:
        """Hear who comes; a stranger is heard once, and no more."""
        try:
            line: Line[FromNode] = Line(connection, FromNode, longest=LONGEST_HELLO)
            visitor = None
            with contextlib.suppress(LineLost):
                visitor = self._heard(line)
        except OSError:  # it was gone at once
            connection.close()
            return
        finally:
            self._strangers.release()
        if visitor is None or not self._visitors.admit(visitor):
            with contextlib.suppress(LineLost):
                self._send_away(visitor)
            line.close()
            return
        try:
            line.say(self._welcome())
            self._listen_to(visitor)
        except (LineLost, OSError) as lost:
            visitor.lost = visitor.lost or str(lost)
            line.close()

    def _heard(self, line: Line[FromNode]) -> Visitor | None:
        """Hear who it is. Returns: None: nobody who may take part. Raises: LineLost."""
        hello = line.hear(WORD_SECONDS)
        if not isinstance(hello, Hello):
            return None
        wrong = self._obstacle(hello)
        if wrong is not None:
            line.say(Sorry(what=wrong))
            return None
        line.longest = LONGEST_LINE
        return Visitor(hello.node, one_line(hello.host, 255), line)

    def _send_away(self, visitor: Visitor | None) -> None:
        """Tell a machine that can't be let in why, or let it wait for the attempt's end. Raises: LineLost."""
        if visitor is None:
            return
        holder = self._visitors.holder(visitor.node)
        if holder is not None:
            visitor.line.say(Sorry(what=_has_come(visitor.node, holder.host)))
            return
        while not self._closed.wait(STILL_SECONDS):  # who had its number is lost: this attempt is about to end
            visitor.line.say(Still())
        visitor.line.say(Over(word=self._word))

    def _obstacle(self, hello: Hello) -> str | None:
        """Say why a machine can't take part; what is wrong with one of the run's own ends the attempt too."""
        them = f"node {hello.node} ({one_line(hello.host, 255)})"
        if hello.nodes != self._nodes.nodes or not 1 <= hello.node < self._nodes.nodes:
            return (
                f"this run is on {self._nodes.nodes} machines, numbered from 0 to {self._nodes.nodes - 1}, and {them} "
                f"came as one of {hello.nodes}. Give all the same --nodes, and each a --node-rank of its own."
            )
        holder = self._visitors.holder(hello.node)
        if holder is not None:
            return _has_come(hello.node, holder.host)
        differing, _ = differing_versions(hello.versions, versions_here(), quantized=self._quantized)
        if differing:
            wrong = (
                f"{them} has other versions than node 0 ({socket.gethostname()}), and they might compute something "
                f"else: {one_line('; '.join(differing), 600)} (here: {them}). Install the same on both."
            )
            if not self._visitors.begun:
                self.turned_away = wrong
            return wrong
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
        """Take what a machine says until it is gone. Raises: LineLost."""
        while not self._closed.is_set():
            said = visitor.line.hear(1.0)
            if isinstance(said, Ready):
                visitor.ready = True
            elif isinstance(said, Beats):
                self._keep(visitor, said)
            elif isinstance(said, Ended):
                visitor.exits = said.exits
            elif isinstance(said, Left):
                visitor.left = one_line(said.why, 1000)
            elif isinstance(said, Sorry):
                visitor.lost = one_line(said.what, 1000)
                if not visitor.ready:
                    self.turned_away = f"node {visitor.node} ({visitor.host}): {visitor.lost}"

    def _keep(self, visitor: Visitor, beats: Beats) -> None:
        """Write what processes of that machine say into the run's folder, as those of this machine do."""
        own = range(visitor.node * self._per_node, (visitor.node + 1) * self._per_node)
        for record in in_our_time(beats):
            if record.attempt == self._attempt and record.rank in own:
                with contextlib.suppress(OSError):
                    write_rank(self._folder, msgspec.structs.replace(record, host=visitor.host))


def _has_come(node: int, host: str) -> str:
    return f"node {node} has come already, from {host}. Give each machine a --node-rank of its own."
