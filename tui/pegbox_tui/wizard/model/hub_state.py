"""What was asked of the Hub last, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pegbox_runs.printable import one_line
from pegbox_tui.wizard.model.entries import Entry
from pegbox_tui.wizard.model.messages import HubAnswered


@dataclass(frozen=True)
class HubState:
    """One search, and whether the Hub could be reached at the last try."""

    words: str = ""
    """What was searched for."""
    said: str = ""
    """That it is being asked, or why nothing came: a sentence."""
    entries: tuple[Entry, ...] = ()
    fault: str = ""
    """Why it couldn't be reached; empty: it could, or nobody tried."""

    def asking(self, words: str) -> HubState:
        """Begin a search."""
        return HubState(words, f"Asking the Hub for “{one_line(words, 50)}”", fault=self.fault)

    def answered(self, message: HubAnswered) -> HubState:
        """End it."""
        if message.refusal is not None:
            return replace(self, said=one_line(message.refusal, 300), fault=message.refusal)
        none = "" if message.entries else f"The Hub has no model for “{one_line(message.words, 40)}”"
        return HubState(message.words, none, message.entries)

    def said_of(self, typed: str) -> str:
        """Say what came of it, as long as nothing else is typed."""
        return self.said if typed.strip() == self.words else ""
