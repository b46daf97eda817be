"""What a job of the worker says on its way: one that lasts, or one that talks. Never in a run's own log."""

from __future__ import annotations

from typing import Literal

import msgspec

from pegbox_methods.event import Count, Event


class Progress(Event, frozen=True, kw_only=True, tag="progress", gc=False):
    """A part of a long job is done."""

    doing: str
    """What is being done, for people: `merging shard 2 of 4`."""
    done: Count = 0
    """Units done of this part."""
    of: Count | None = None
    """Units in all; None: it isn't known."""


class Spoken(Event, frozen=True, kw_only=True, tag="spoken", gc=False):
    """A model said a piece of its answer."""

    lane: str
    """Which model speaks: `base`, or an adapter's name."""
    turn: Count
    """Number of the question, from 1."""
    text: str = ""
    """The next characters of the answer."""
    tokens: Count = 0
    """Tokens of the answer so far."""
    seconds: float = 0.0
    """Since the model began with this answer."""
    end: Literal["", "complete", "length", "interrupted", "failed"] = ""
    """Why nothing follows; empty: more does."""
    why: str = ""
    """What went wrong, where it failed."""


class Answered(Event, frozen=True, kw_only=True, tag="answered", gc=False):
    """A small job of the worker, asked for by another part of Pegbox, was done; never in a run's own log."""

    job: str
    """The job's name."""
    answer: msgspec.Raw
    """What it found, in a form of its own for each job."""
