"""Where a row lies, and what is told of one that can't be taken."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec


class Place(NamedTuple):
    """A row's place in its source."""

    file: str
    """Relative to the source's folder; the file's name where the source is one file."""
    number: int
    """From 1: the line on which the row begins, or its number where the kind of file has no lines."""
    unit: str = "line"
    """`line` or `row`."""

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.number}"


class RawRow(NamedTuple):
    """A row as it lies in a file."""

    place: Place
    fields: dict[str, Any]


class Rejected(msgspec.Struct, frozen=True):
    """A row that can't be taken, or a part of a source that can't be read."""

    file: str
    number: int | None
    """As in Place; None: the file or folder itself."""
    unit: str
    keys: tuple[str, ...]
    """Of the row, where it has any; at most 30."""
    reason: str
    """A clause without a full stop. It may hold text from outside: show it printable."""

    @property
    def where(self) -> str:
        """Name the place for people."""
        return self.file if self.number is None else str(Place(self.file, self.number, self.unit))
