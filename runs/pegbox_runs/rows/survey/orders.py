"""What is told between the process that surveys a source and those that help it, as MessagePack."""

from __future__ import annotations

import msgspec

from pegbox_runs.rows.formats import Understanding
from pegbox_runs.rows.place import Rejected
from pegbox_runs.rows.reading import Part

MOST_REJECTED = 100_000
"""Rejected rows that are kept with their reasons; more are counted."""


class Plan(msgspec.Struct, frozen=True):
    """How every part is to be read; told once."""

    understanding: Understanding
    columns: tuple[str | None, ...]
    """Whose values are hashed: the group's, the stratum's, the balance's. None: nobody asked."""
    checks: bool


class SurveyPart(msgspec.Struct, frozen=True, tag="survey"):
    """Survey a part, or its first rows."""

    part: Part
    limit: int | None = None


class ShinglesOf(msgspec.Struct, frozen=True, tag="shingles"):
    """Read rows of a part again, and give their shingles."""

    part: Part
    numbers: bytes
    """Of the rows, as they are counted in the part, ascending; 32-bit unsigned."""


Order = SurveyPart | ShinglesOf


class Portion(msgspec.Struct, frozen=True, kw_only=True, tag="portion"):
    """A part's rows in numbers. Arrays are their bytes, in the machine's own order."""

    rows: int
    """Good and rejected ones."""
    lines: int
    """Of the part, if it is a range of lines of a larger file."""
    unit: str
    conversational: bool
    arrays: dict[str, bytes]
    """By the names of `COLUMNS`, and `bands`."""
    rejected: list[Rejected]
    rejected_count: int


class Shingles(msgspec.Struct, frozen=True, tag="shingles"):
    """The distinct shingles of rows, sorted, as 32-bit unsigned."""

    begins: bytes
    """Where those of each row's body begin, where those of what is beside it do, and the end; 64-bit unsigned."""
    shingles: bytes


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """An order that couldn't be carried out."""

    sentence: str


Answer = Portion | Shingles | Failed

COLUMNS = {
    "key": "u8",
    "number": "u4",
    "letters": "u4",
    "group": "u8",
    "stratum": "u8",
    "balance": "u8",
    "flags": "u4",
    "asked": "u8",
}
"""Arrays with one entry a row, and their types. A key is two entries."""
