"""What a supervisor says to a command where no worker lives, and what follows from it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pegbox_methods.events import CommandAnswer
from pegbox_runs.commands import Command, answer, unknown
from pegbox_runs.supervision.ledger import Ledger
from pegbox_runs.supervision.mailbox import Mailbox

Situation = Literal["queued", "restarting", "paused"]
Effect = Literal["stop", "abort", "pause", "resume"]
ENDS: dict[Effect, Literal["stopped", "aborted"]] = {"stop": "stopped", "abort": "aborted"}


class Reply(NamedTuple):
    """An answer, and what it makes of the run; None: nothing."""

    event: CommandAnswer
    effect: Effect | None


TEXTS: dict[tuple[Situation, str], tuple[str, bool, Effect | None]] = {
    ("queued", "stop"): ("the run leaves the queue and ends", True, "stop"),
    ("queued", "abort"): ("the run leaves the queue and ends", True, "abort"),
    ("queued", "pause"): ("the run waits in a queue and hasn't begun; it can be paused once it runs", False, None),
    ("queued", "resume"): ("the run isn't paused: it waits in a queue and begins by itself", False, None),
    ("queued", "checkpoint"): ("the run waits in a queue and has nothing to save yet", False, None),
    ("restarting", "stop"): ("the run ends now; its last checkpoint stays, and it can be continued", True, "stop"),
    ("restarting", "abort"): ("the run ends now", True, "abort"),
    ("restarting", "pause"): ("the run stays without a worker until it is resumed", True, "pause"),
    ("restarting", "resume"): ("the run isn't paused: its next worker is about to start", False, None),
    ("restarting", "checkpoint"): ("no worker runs just now; all it had saved is kept", False, None),
    ("paused", "stop"): ("the run ends now; its last checkpoint stays, and it can be continued", True, "stop"),
    ("paused", "abort"): ("the run ends now", True, "abort"),
    ("paused", "pause"): ("the run is paused already, with its memory released", True, None),
    ("paused", "resume"): ("a worker starts and goes on from the last checkpoint", True, "resume"),
    ("paused", "checkpoint"): ("the run is paused with its memory released; a checkpoint holds all", True, None),
}


def reply(command: Command, situation: Situation) -> Reply:
    """Answer a command."""
    name = "pause" if command.command == "pause-release" else command.command
    known = TEXTS.get((situation, name))
    if known is None:
        return Reply(unknown(command), None)
    text, taken, effect = known
    return Reply(answer(command, text, taken=taken), effect)


def too_late(command: Command) -> CommandAnswer:
    """Answer what came when the run was ending."""
    return answer(command, "the run ended before this was heeded", taken=False)


def too_early(command: Command) -> CommandAnswer:
    """Answer what was asked of a run that nobody carried, before it was continued."""
    return answer(command, "it was asked before the run was continued; ask again if it still holds", taken=False)


def pass_over(ledger: Ledger, mailbox: Mailbox) -> None:
    """Refuse what was asked of a run before it was continued; what is asked of a new one holds."""
    if not ledger.attempts.attempt:
        return
    for command in mailbox.unanswered(ledger.answered):
        ledger.tell(too_early(command))
        mailbox.close(command)


def aborted(command: Command, *, killed_after: float | None) -> CommandAnswer:
    """Answer an abort for a worker that did not: it was killed after so many seconds; None: it ended by itself."""
    if killed_after is None:
        return answer(command, "the worker ended by itself before it could answer; the run ends now", taken=True)
    return answer(command, f"the worker didn't answer within {killed_after:g} s; it was killed", taken=True)
