"""What threads tell the screens. Only message handlers touch widgets."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from pegbox_runs.run_state import RunState


@dataclass
class RunAdvanced(Message):
    """The run moved on. Carries the whole state, so that the newest may replace those still queued."""

    state: RunState

    def can_replace(self, message: Message) -> bool:
        """Let a newer state stand for this one."""
        return isinstance(message, RunAdvanced)
