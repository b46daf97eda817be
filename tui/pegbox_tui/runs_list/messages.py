"""What the threads of the list tell it. Only message handlers touch widgets."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message
from textual.notifications import SeverityLevel

from pegbox_runs.listing import ListedRun
from pegbox_runs.removing import Holdings
from pegbox_runs.run_folder import RunFolder


@dataclass
class RunsListed(Message):
    """The runs were looked at. Carries all of them, so that the newest may replace those still queued."""

    runs: tuple[ListedRun, ...]
    whole: bool = True
    """False: a first look isn't through yet."""
    fault: str = ""
    """Why there is nothing to look at."""

    def can_replace(self, message: Message) -> bool:
        """Let the newer list stand for this one."""
        return isinstance(message, RunsListed)


@dataclass
class HoldingsCounted(Message):
    """It is known what would go with a run."""

    folder: RunFolder
    holdings: Holdings


@dataclass
class RunAnswered(Message):
    """What was asked of a run was done, or wasn't."""

    text: str
    """For people; it may hold anything."""
    severity: SeverityLevel = "information"
