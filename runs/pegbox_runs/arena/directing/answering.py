"""What a director says to a command, and what follows from it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pegbox_methods.events import CommandAnswer
from pegbox_runs.commands import Command, answer, unknown

Effect = Literal["stop", "abort", "pause", "pause-release", "resume", "checkpoint"]
Situation = Literal["running", "paused", "released", "ending"]
"""`paused`: with the memory kept."""


class Reply(NamedTuple):
    """An answer, and what it makes of the comparison; None: nothing."""

    event: CommandAnswer
    effect: Effect | None


STOPS = "what runs saves a checkpoint and ends; nothing else begins, and the comparison can be continued"
ABORTS = "what runs ends at once, and what it hasn't saved is lost; what is done stays"
PAUSES = (
    "what runs pauses at the next step's end, with its memory kept; what is loaded or judged meanwhile goes on, and "
    "nothing else begins"
)
RELEASES = (
    "what runs saves a checkpoint at the next step's end and lets go of its memory; what is loaded or judged meanwhile "
    "goes on, and nothing else begins"
)
ENDING = "the comparison is ending"
TEXTS: dict[tuple[Situation, str], tuple[str, bool, Effect | None]] = {
    ("running", "stop"): (STOPS, True, "stop"),
    ("running", "abort"): (ABORTS, True, "abort"),
    ("running", "pause"): (PAUSES, True, "pause"),
    ("running", "pause-release"): (RELEASES, True, "pause-release"),
    ("running", "resume"): ("the comparison isn't paused", False, None),
    ("paused", "stop"): (STOPS, True, "stop"),
    ("paused", "abort"): (ABORTS, True, "abort"),
    ("paused", "pause"): ("the comparison is paused already", True, None),
    ("paused", "pause-release"): (RELEASES, True, "pause-release"),
    ("paused", "resume"): ("the comparison goes on", True, "resume"),
    ("released", "stop"): (STOPS, True, "stop"),
    ("released", "abort"): (ABORTS, True, "abort"),
    ("released", "pause"): ("the comparison is paused already, with its memory released", True, None),
    ("released", "pause-release"): ("the comparison is paused already, with its memory released", True, None),
    ("released", "resume"): ("the comparison goes on, each training from its last checkpoint", True, "resume"),
    ("ending", "stop"): ("the comparison is ending already", True, None),
    ("ending", "abort"): (ABORTS, True, "abort"),
    ("ending", "pause"): (ENDING, False, None),
    ("ending", "pause-release"): (ENDING, False, None),
    ("ending", "resume"): ("the comparison is ending; `pegbox resume` continues it then", False, None),
}


def reply(command: Command, situation: Situation, *, carrying: bool) -> Reply:
    """Answer a command. `carrying`: whether an entry runs."""
    if command.command == "checkpoint":
        if not carrying or situation == "released":
            return Reply(answer(command, "nothing runs just now that could be saved", taken=False), None)
        return Reply(answer(command, "what runs writes a checkpoint after its step", taken=True), "checkpoint")
    known = TEXTS.get((situation, command.command))
    if known is None:
        return Reply(unknown(command), None)
    text, taken, effect = known
    return Reply(answer(command, text, taken=taken), effect)
