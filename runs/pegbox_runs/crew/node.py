"""A machine that takes part in another one's run: it comes to node 0, starts its processes, and ends with them."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.crew.launched import Launched
from pegbox_runs.crew.launching import Launch
from pegbox_runs.crew.nodes.differing import plain, versions_here
from pegbox_runs.crew.nodes.line import Line, LineLost
from pegbox_runs.crew.nodes.node_folder import discard, fill, node_folder
from pegbox_runs.crew.nodes.place import Nodes, address_of, interface_of
from pegbox_runs.crew.nodes.visitors import End
from pegbox_runs.crew.nodes.words import (
    Beats,
    Ended,
    FromHead,
    Go,
    Hello,
    Kill,
    Left,
    Over,
    Ready,
    Sorry,
    Welcome,
    Word,
)
from pegbox_runs.crew.rank_files import BEAT_SECONDS, read_ranks
from pegbox_runs.figures import duration
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder

CONNECT_SECONDS = 60.0
"""How long node 0 may take to answer at first."""
RETURN_SECONDS = 600.0
"""How long it may take to come back behind an attempt that failed: it waits a minute at most, and starts anew."""
TRY_SECONDS = 1.0
TELL_SECONDS = 3.0
"""Behind which it is told what is waited for."""
LATE_SECONDS = 30.0
"""How long node 0 may stay away behind its last word but one; behind a lost line it may be restarting."""


@dataclass(frozen=True)
class Part:
    """What this machine is to the run."""

    nodes: Nodes
    node: int
    recipe: Recipe
    """This machine's own, complete: where files lie is taken from it."""
    launch: Callable[[RunFolder, int], Launch]
    """Makes the start of an attempt's processes here, but for where they meet."""


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt."""

    word: Word | None
    """Node 0's last one; None: the line broke."""
    why: str = ""


def take_part(part: Part, say: Callable[[str], None]) -> bool:
    """Come to node 0, and again behind each attempt that it repeats, until the run is over.

    `say`: hears what goes on, a line each. Returns: whether the run ended well.
    Raises: Refusal: node 0 doesn't answer, or what is here doesn't fit.
    """
    patience: float | None = CONNECT_SECONDS
    first = True
    while True:
        outcome = _attempt(part, patience, say, first=first)
        first = False
        match outcome.word:
            case "finished" | "stopped":
                say("the run is over: it has finished." if outcome.word == "finished" else "the run was stopped.")
                return True
            case "aborted" | "failed" | "refused":
                how = "was aborted" if outcome.word == "aborted" else "has failed"
                say(f"the run is over: it {how}. `pegbox watch` on node 0 ({part.nodes.host}) says more.")
                return False
            case "paused":
                patience = None
                say("the run is paused, its memory freed. This waits until it is resumed; Ctrl-C ends it here.")
            case _:
                patience = RETURN_SECONDS
                why = f" ({outcome.why})" if outcome.why else ""
                say(f"this attempt is over{why}; waits up to {duration(RETURN_SECONDS)} for node 0's next one.")


def _attempt(part: Part, patience: float | None, say: Callable[[str], None], *, first: bool) -> Outcome:
    """Take part once."""
    line = _connected(part, patience, say, first=first)
    with line:
        try:
            return _greeted(part, line, say)
        except LineLost as lost:
            return Outcome(None, str(lost))
        except KeyboardInterrupt as ended:
            with contextlib.suppress(LineLost):
                line.say(Left(why=f"its command was ended there by {ended or 'Ctrl-C'}"))
            raise


def _connected(part: Part, patience: float | None, say: Callable[[str], None], *, first: bool) -> Line[FromHead]:
    """Come to node 0, trying again until it answers. Raises: Refusal: it doesn't within so many seconds."""
    nodes, told = part.nodes, False
    began = time.monotonic()
    address = address_of(nodes.host)
    while True:
        try:
            connection = socket.create_connection((address, nodes.port), timeout=5.0)
            return Line(connection, FromHead)
        except OSError as error:
            waited = time.monotonic() - began
            if patience is not None and waited > patience:
                raise Refusal(_no_answer(part, address, patience, error, first=first)) from None
            if first and not told and waited > TELL_SECONDS:
                told = True
                say(f"waits for node 0 at {nodes.host}:{nodes.port}. Start there: `{nodes.command(0)}`")
            time.sleep(TRY_SECONDS)


def _no_answer(part: Part, address: str, patience: float, error: OSError, *, first: bool) -> str:
    where = f"{part.nodes.host}:{part.nodes.port}"
    where += f" ({address})" if address != part.nodes.host else ""
    reason = one_line(error.strerror or str(error) or "no answer", 200)
    if first:
        return (
            f"node 0 doesn't answer at {where} within {duration(patience)}: {reason}. See that "
            f"`{part.nodes.command(0)}` runs there, and that no firewall is between the machines."
        )
    return (
        f"node 0 hasn't come back to {where} within {duration(patience)}: {reason}. The run has ended there, or its "
        "machine has; `pegbox runs` there says. Where it goes on, start this command again."
    )


def _greeted(part: Part, line: Line[FromHead], say: Callable[[str], None]) -> Outcome:
    """Say who this is, take what the processes need, and wait until all machines are there. Raises: LineLost."""
    line.say(
        Hello(
            node=part.node,
            nodes=part.nodes.nodes,
            host=socket.gethostname(),
            versions=versions_here(),
            now=time.time(),
            recipe=plain(part.recipe),
        )
    )
    folder, attempt = None, 0
    while True:
        said = line.hear(1.0)
        match said:
            case Sorry():
                raise Refusal(f"node 0: {one_line(said.what, 2000)}")
            case Over():
                return Outcome(said.word)
            case Welcome() if folder is None:
                folder, attempt = node_folder(said.run, part.node), said.attempt
                _prepare(part, folder, said, line)
                say(f"node {part.node} of {part.nodes.nodes} takes part in {one_line(said.run, 100)}; {_log(folder)}.")
                line.say(Ready())
            case Go() if folder is not None:
                outcome = _Together(_start(part, folder, attempt, said.port, line), folder, attempt, line, say).carry()
                if outcome.word in ("finished", "stopped"):
                    discard(folder)
                return outcome
            case Kill() if folder is not None:
                line.say(Ended(exits={}))
            case _:
                if folder is not None:
                    line.say(Beats(now=time.time()))


def _start(part: Part, folder: RunFolder, attempt: int, port: int, line: Line[FromHead]) -> Launched:
    """Start the processes here. Raises: Refusal: they can't be; node 0 hears why too. LineLost."""
    try:
        launch = part.launch(folder, attempt)
        where = {"host": part.nodes.host, "port": port, "interface": interface_of(line.here)}
        return Launched.start(msgspec.structs.replace(launch, **where))
    except (Refusal, OSError) as error:
        said = error.sentence if isinstance(error, Refusal) else f"its processes couldn't be started there: {error}."
        line.say(Sorry(what=said[:4000]))
        raise Refusal(said) from None


def _log(folder: RunFolder) -> str:
    return f"what libraries print here goes to {folder.log}"


def _prepare(part: Part, folder: RunFolder, welcome: Welcome, line: Line[FromHead]) -> None:
    """Make the folder. Raises: Refusal: it can't be; node 0 hears why too."""
    try:
        fill(folder, welcome, part.recipe)
    except (Refusal, OSError, UnicodeError) as error:
        sentence = error.sentence if isinstance(error, Refusal) else f"{folder.path}: can't be written: {error}."
        line.say(Sorry(what=sentence[:4000]))
        raise Refusal(sentence) from None


class _Together:
    """This machine's processes, from their start to their end."""

    def __init__(
        self, launched: Launched, folder: RunFolder, attempt: int, line: Line[FromHead], say: Callable[[str], None]
    ) -> None:
        self._launched, self._launch, self._folder, self._attempt = launched, launched.launch, folder, attempt
        self._line, self._say = line, say
        self._told = False
        self._word: Word | None = None

    def carry(self) -> Outcome:
        """Tell node 0 how they are, and end them when it says so, or when its line breaks."""
        launched = self._launched
        why = ""
        try:
            self._say(f"starts {self._launch.here} of {self._launch.processes} processes.")
            why = self._until_over(launched)
        finally:
            launched.kill()
        if self._word is None and not why:
            why = self._farewell(launched)
        return Outcome(self._word, why)

    def _until_over(self, launched: Launched) -> str:
        """Returns: why the line broke; empty: it didn't."""
        try:
            while launched.poll() is None:
                self._tell_beats()
                said = self._line.hear(BEAT_SECONDS)
                while said is not None:
                    if isinstance(said, Over):
                        self._word = said.word
                        return ""
                    if isinstance(said, Kill):
                        return ""
                    said = self._line.hear(0.0)
        except LineLost as lost:
            return f"the line to node 0: {lost}"
        return ""

    def _tell_beats(self) -> None:
        ranks = read_ranks(self._folder, self._attempt)
        self._line.say(Beats(now=time.time(), ranks=tuple(ranks.values())))
        if not self._told and any(record.doing == "training" for record in ranks.values()):
            self._told = True
            self._say("trains; `pegbox watch` on node 0 shows it. Ctrl-C here ends this node's part in it.")

    def _farewell(self, launched: Launched) -> str:
        """Tell how the processes ended, and hear how the attempt did. Returns: what went wrong, where that is known."""
        why = ""
        try:
            self._tell_beats()
            exits: dict[int, int | None] = dict.fromkeys(self._launch.local_ranks, 0 if launched.poll() == 0 else None)
            exits |= {found.rank: found.code for found in launched.exits()}
            self._line.say(Ended(exits=exits))
            end = End(0, "", exits)
            told = {rank: end.said(rank) for rank in exits}
            why = "; ".join(f"rank {rank} here: {words}" for rank, words in told.items() if words is not None)
            until = time.monotonic() + LATE_SECONDS
            while time.monotonic() < until:
                said = self._line.hear(1.0)
                if isinstance(said, Over):
                    self._word = said.word
                    return why
        except LineLost as lost:
            return why or str(lost)
        return why or "node 0 didn't say how it ended"
