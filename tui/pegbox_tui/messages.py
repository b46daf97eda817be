"""What threads tell the screens. Only message handlers touch widgets."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from pegbox_runs.run_state import RunState
from pegbox_tui.dashboard.view import Beside


@dataclass
class RunAdvanced(Message):
    """The run moved on. Carries the whole state, so that the newest may replace those still queued."""

    state: RunState
    share: float = 1.0
    """Of the log, what is read: below 1 while it is read for the first time."""
    last: bool = False
    """Whether nothing more comes: the run has ended, or is lost."""

    def can_replace(self, message: Message) -> bool:
        """Let a newer state stand for this one."""
        return isinstance(message, RunAdvanced)


@dataclass
class BesideRead(Message):
    """What lies beside the log was read."""

    beside: Beside


@dataclass
class RunUnreadable(Message):
    """The run's folder can't be read just now; it is tried again."""

    why: str
    """The system's word for it."""


@dataclass
class CommandAnswered(Message):
    """A run said something to a command that was sent from here, or nothing in time."""

    text: str
    """For people; it may hold anything."""
