"""A cluster whose library lives in a process of its own: `python -P -m pegbox_runs.fleet.apart ON`.

Ray ends its process where its head is gone for a minute; a director must outlive that, and say so.
A line of JSON for each call goes to its standard input, and an answer comes back; it ends with its asker.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from pegbox_methods.refusal import Refusal
from pegbox_runs.fleet.cluster import Cluster, JobState, Post, Wanted
from pegbox_runs.printable import one_line

AGAIN_SECONDS = 30.0
"""Before a library that has died is tried once more."""
ANSWER_SECONDS = 150.0
"""After which one that gives no answer is given up; looking at all nodes takes longest, 90 s at most."""


class Call(msgspec.Struct, frozen=True):
    """What is asked."""

    name: str
    """A method of `Cluster`."""
    wanted: Wanted
    arguments: tuple[Any, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    value: Any = None
    refused: str | None = None
    failed: str | None = None
    """An OSError's words."""


class ApartCluster:
    """Asks such a process, which is started when something is asked for the first time."""

    def __init__(self, on: str, inside: Cluster, command: Sequence[str] = ()) -> None:
        """`on`: as `--on` has it; `inside`: the same cluster, which is never reached from this process; `command`: what
        answers, in place of this module.
        """
        self._inside = inside
        self._command = command or (sys.executable, "-P", "-m", __name__, on)
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._not_before = 0.0

    @property
    def wanted(self) -> Wanted:
        """What every entry shall get."""
        return self._inside.wanted

    @wanted.setter
    def wanted(self, wanted: Wanted) -> None:
        """Say it; the next call takes it along."""
        self._inside.wanted = wanted

    @property
    def name(self) -> str:
        """Give what people call it."""
        return self._inside.name

    def reach(self) -> None:
        """Connect. Raises: Refusal: nothing answers."""
        self._refusing("reach")

    def has_gpus(self) -> bool:
        """Tell whether any node has a GPU. Raises: Refusal."""
        return bool(self._refusing("has_gpus"))

    def check(self, places: Sequence[Path]) -> None:
        """See that every node could carry an entry. Raises: Refusal."""
        self._refusing("check", [str(place) for place in places])

    def slots(self) -> int:
        """Tell how many entries may run at once. Raises: Refusal."""
        return int(self._refusing("slots"))

    def words(self) -> str:
        """Say what each entry gets. Raises: Refusal."""
        return str(self._refusing("words"))

    def submit(self, post: Post) -> str:
        """Have a post started. Raises: OSError."""
        try:
            return str(self._ask("submit", str(post.folder), post.ticket, post.name))
        except Refusal as refusal:  # the library was started anew, and isn't let in
            raise OSError(refusal.sentence) from refusal

    def state(self, id_: str) -> JobState:
        """Tell what became of a post; where nobody answers any more it is gone, as far as is known."""
        try:
            return msgspec.convert(self._ask("state", id_), JobState)
        except (OSError, Refusal) as error:
            return JobState("gone", one_line(str(error), 200))

    def cancel(self, id_: str) -> None:
        """End a post, if anybody can."""
        try:
            self._ask("cancel", id_)
        except (OSError, Refusal):
            return  # it obeys its folder's ticket too

    def close(self) -> None:
        """Let the process end."""
        with self._lock:
            self._let_go()

    def _refusing(self, name: str, *arguments: Any) -> Any:
        try:
            return self._ask(name, *arguments)
        except OSError as error:
            raise Refusal(f"{error}.") from error

    def _ask(self, name: str, *arguments: Any) -> Any:
        """Ask, and wait for the answer. Raises: Refusal; OSError: nobody answers."""
        with self._lock:
            child = self._living()
            try:
                call = msgspec.json.encode(Call(name, self.wanted, arguments))
                cast(IO[bytes], child.stdin).write(call + b"\n")
                ready, _, _ = select.select([cast(IO[bytes], child.stdout)], [], [], ANSWER_SECONDS)
                line = cast(IO[bytes], child.stdout).readline() if ready else b""
            except BrokenPipeError:
                line = b""
            if not line:
                self._let_go()
                self._not_before = time.monotonic() + AGAIN_SECONDS
                raise OSError(f"{self.name} can't be reached any more")
        answer = msgspec.json.decode(line, type=Answer)
        if answer.refused is not None:
            raise Refusal(answer.refused)
        if answer.failed is not None:
            raise OSError(answer.failed)
        return answer.value

    def _living(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            if time.monotonic() < self._not_before:
                raise OSError(f"{self.name} can't be reached any more")
            self._child = subprocess.Popen(self._command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._child

    def _let_go(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            cast(IO[bytes], child.stdin).close()
            child.kill()  # what it holds is a connection; posts go on
            child.wait()
            cast(IO[bytes], child.stdout).close()


def answered(cluster: Cluster, call: Call) -> Answer:
    """Do what is asked."""
    cluster.wanted = call.wanted
    try:
        match call.name, call.arguments:
            case "submit", (str(folder), str(ticket), str(name)):
                return Answer(value=_reached(cluster).submit(Post(folder=Path(folder), ticket=ticket, name=name)))
            case "state", (str(id_),):
                return Answer(value=msgspec.to_builtins(_reached(cluster).state(id_)))
            case "cancel", (str(id_),):
                _reached(cluster).cancel(id_)
                return Answer()
            case "check", (list(places),):
                cluster.check([Path(place) for place in places])
                return Answer()
            case ("reach" | "has_gpus" | "slots" | "words") as name, ():
                return Answer(value=getattr(cluster, name)())
        return Answer(failed=f"nobody knows what {call.name} is")
    except Refusal as refusal:
        return Answer(refused=refusal.sentence)
    except OSError as error:
        return Answer(failed=str(error))


def _reached(cluster: Cluster) -> Cluster:
    cluster.reach()
    return cluster


def main(arguments: Sequence[str]) -> None:
    """Answer until nobody asks any more. `arguments`: what `--on` says."""
    from pegbox_runs.fleet.choosing import cluster_on

    replies = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    cluster = cluster_on(arguments[0], Wanted())
    for line in sys.stdin.buffer:
        answer = answered(cluster, msgspec.json.decode(line, type=Call))
        os.write(replies, msgspec.json.encode(answer) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
