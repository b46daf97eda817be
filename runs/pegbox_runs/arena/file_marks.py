"""By what it is seen that an entry's files have changed, without reading them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class FileMark(NamedTuple):
    """What changes where a file does."""

    number: int
    changed: int
    size: int


class Mark(NamedTuple):
    """None: it isn't there."""

    recipe: FileMark | None
    events: FileMark | None
    judged: FileMark | None


def mark_of(file: str) -> FileMark | None:
    """Look at a file; None: it isn't there."""
    try:
        found = os.stat(file)  # noqa: PTH116  # of thousands, their paths would take longer to make than the looks
    except OSError:
        return None
    return FileMark(found.st_ino, found.st_mtime_ns, found.st_size)


def grew(before: Mark, now: Mark) -> bool:
    """Tell whether a log is the same file as before, with nothing taken away."""
    if before.events is None or now.events is None:
        return False
    return before.events.number == now.events.number and before.events.size <= now.events.size


def is_whole(events: Path) -> bool:
    """Tell whether a log holds a whole line at least; the first may be being written."""
    try:
        return b"\n" in events.read_bytes()
    except OSError:
        return False
