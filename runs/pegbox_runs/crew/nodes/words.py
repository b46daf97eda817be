"""What two crews say to each other: a JSON record a line, nothing that could be run."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pegbox_runs.crew.rank_files import RankRecord

Word = Literal["finished", "stopped", "aborted", "failed", "refused", "paused", "again"]
"""How an attempt ended; behind `paused` and `again` the machines may meet once more."""
Name = Annotated[str, Meta(max_length=255)]
RunName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")]
"""A folder gets it."""
Sentence = Annotated[str, Meta(max_length=4000)]


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """A machine comes."""

    node: int
    nodes: int
    host: Name
    versions: dict[Name, Name | None]
    """Of Pegbox and its libraries, by name."""
    now: float
    """By its clock: seconds since 1970."""
    recipe: dict[str, Any]
    """Its own one."""


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """It is one of the run's."""

    run: RunName
    attempt: int
    recipe: str
    """The text of recipe.toml."""
    changes: str
    """The text of changes.jsonl."""
    environment: str
    """The text of environment.json."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The machine has all that it needs."""


class Go(msgspec.Struct, frozen=True, kw_only=True, tag="go"):
    """All are there: start the processes."""

    port: int
    """On node 0, where torch's own meeting is."""


class Beats(msgspec.Struct, frozen=True, kw_only=True, tag="beats"):
    """What the machine's processes said last; it comes each second, with none too."""

    now: float
    ranks: tuple[RankRecord, ...] = ()


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """The machine has no process of the run any more."""

    exits: dict[int, int | None]
    """By rank: its exit code, less than 0 for a signal's number; None: nobody saw its end."""


class Left(msgspec.Struct, frozen=True, kw_only=True, tag="left"):
    """The machine goes by itself, though the run isn't over; it has no process of it any more."""

    why: Sentence


class Still(msgspec.Struct, frozen=True, kw_only=True, tag="still"):
    """Node 0 lives."""


class Kill(msgspec.Struct, frozen=True, kw_only=True, tag="kill"):
    """End the processes."""


class Sorry(msgspec.Struct, frozen=True, kw_only=True, tag="sorry"):
    """It can't be; either may say so."""

    what: Sentence


class Over(msgspec.Struct, frozen=True, kw_only=True, tag="over"):
    """Node 0's last word."""

    word: Word


FromNode = Hello | Ready | Beats | Ended | Left | Sorry
FromHead = Welcome | Go | Still | Kill | Sorry | Over


def in_our_time(beats: Beats) -> tuple[RankRecord, ...]:
    """Move what another machine's clock says to this one's."""
    ahead = time.time() - beats.now
    return tuple(
        msgspec.structs.replace(one, began=one.began + ahead, beat=one.beat + ahead, advanced=one.advanced + ahead)
        for one in beats.ranks
    )
