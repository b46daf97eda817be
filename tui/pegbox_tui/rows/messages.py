"""What the threads of the data screen tell it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from pegbox_tui.rows.browsing import BrowsedRow, BrowsedRows


@dataclass(frozen=True)
class Examination:
    """How far the examination is, and what came of it."""

    done: float = 0.0
    """Share of the source that was read."""
    rows: BrowsedRows | None = None
    refusal: str | None = None


@dataclass
class RowsExamined(Message):
    """The examination moved on. Carries the whole state, so that the newest may replace those still queued."""

    state: Examination

    def can_replace(self, message: Message) -> bool:
        """Let a newer state stand for this one."""
        return isinstance(message, RowsExamined)


@dataclass
class RowBrowsed(Message):
    """A row was read and turned into tokens."""

    row: BrowsedRow

    def can_replace(self, message: Message) -> bool:
        """Let the row that was asked for last stand for earlier ones."""
        return isinstance(message, RowBrowsed)
