"""What the threads of the model step tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from textual.message import Message

from pegbox_hardware.disk import Disk
from pegbox_methods.advice.records import Place
from pegbox_methods.recipe import Model
from pegbox_runs.fitting import Fit
from pegbox_runs.models import FoundModel
from pegbox_tui.wizard.model.entries import Entry
from pegbox_tui.wizard.model.folders import Folders


@dataclass
class Listed(Message):
    """What there is to choose from, without the Hub's answers."""

    entries: tuple[Entry, ...] = ()
    place: Place | None = None
    disk: Disk | None = None
    """Where models are kept."""
    token: bool = False
    faults: tuple[str, ...] = ()
    """What couldn't be read, a sentence each."""


@dataclass
class Judged(Message):
    """Whether models fit, as far as one thread knows by now. Two may be at work, so that none replaces another."""

    fits: Mapping[str, Fit] = field(default_factory=dict)
    """By the entry's id."""


@dataclass
class FoldersRead(Message):
    """A typed path was looked at."""

    folders: Folders

    def can_replace(self, message: Message) -> bool:
        """Let the newest stand for the earlier ones."""
        return isinstance(message, FoldersRead)


@dataclass
class HubAnswered(Message):
    """The Hub was searched."""

    words: str
    entries: tuple[Entry, ...] = ()
    refusal: str | None = None


@dataclass
class Checked(Message):
    """A model was looked at, of which only the name was known."""

    model: Model
    to_take: bool
    """It is taken if nothing is wrong with it; False: it is the draft's already."""
    found: FoundModel | None = None
    refusal: str | None = None
