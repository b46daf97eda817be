"""What the threads of the arena tell it. Only message handlers touch widgets."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from pegbox_runs.arena.watching.watch import Watched


@dataclass
class ComparisonAdvanced(Message):
    """The comparison moved on. Carries all of it, so that the newest may replace those still queued."""

    watched: Watched
    last: bool = False
    """Whether nothing more comes by itself: it has ended, is lost or deleted."""

    def can_replace(self, message: Message) -> bool:
        """Let a newer one stand for this one."""
        return isinstance(message, ComparisonAdvanced)


@dataclass
class ComparisonUnreadable(Message):
    """The comparison's folder can't be read just now; it is tried again."""

    why: str
    """The system's word for it."""


@dataclass
class ComparisonAnswered(Message):
    """What was asked of the comparison was done, or wasn't."""

    text: str
    """For people; it may hold anything."""
