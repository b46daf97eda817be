"""What threads tell the screens. Only message handlers touch widgets."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message
from textual.notifications import SeverityLevel

from pegbox_runs.run_state import RunState


@dataclass
class RunAdvanced(Message):
    """The run moved on. Carries the whole state, so that the newest may replace those still queued."""

    state: RunState
    last: bool = False
    """Whether nothing more comes: the run has ended, or is lost."""

    def can_replace(self, message: Message) -> bool:
        """Let a newer state stand for this one."""
        return isinstance(message, RunAdvanced)


@dataclass
class CommandAnswered(Message):
    """A run said something to a command that was sent from here, or nothing in time."""

    text: str
    """For people; it may hold anything."""
    severity: SeverityLevel
