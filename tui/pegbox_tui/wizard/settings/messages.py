"""What the settings' threads found out."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from pegbox_runs.drafts import Draft
from pegbox_runs.method_offers import Offers
from pegbox_runs.settling import Settled


@dataclass
class DraftSettled(Message):
    """A draft was settled; or it can't be, for a reason."""

    draft: Draft
    settled: Settled | None
    trouble: str = ""

    def can_replace(self, message: Message) -> bool:
        """Let the newest stand for those still queued."""
        return isinstance(message, DraftSettled)


@dataclass
class MethodsOffered(Message):
    """All methods were priced."""

    offers: Offers


@dataclass
class RowsSeen(Message):
    """The rows were looked at, or so much of them."""

    share: float
    """1: all."""
    trouble: str = ""

    def can_replace(self, message: Message) -> bool:
        """Let the newest stand for those still queued."""
        return isinstance(message, RowsSeen) and message.share < 1
