"""The end of a log file that may be huge, and any other part of it, without reading the rest."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pegbox_runs.printable import printable

WINDOW_BYTES = 128 * 1024
"""What is looked at of a file at once: over a thousand lines."""
LINE_CHARACTERS = 4000
"""Of one line: some libraries write megabytes without a break."""


@dataclass(frozen=True)
class LogPart:
    """Whole lines of a file, made printable."""

    lines: tuple[str, ...] = ()
    begin: int = 0
    """Byte at which the first of them begins."""
    end: int = 0
    """Byte behind the last of them."""
    size: int = 0
    """Bytes of the file."""
    trouble: str | None = None
    """Why nothing could be read."""

    @property
    def at_end(self) -> bool:
        """Whether nothing comes behind it."""
        return self.end >= self.size


def read_part(path: Path, end: int | None = None) -> LogPart:
    """Read the lines before a byte, or the last ones. A line that the part begins within is left out."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            behind = size if end is None else min(max(end, 0), size)
            begin = max(behind - WINDOW_BYTES, 0)
            file.seek(begin)
            content = file.read(behind - begin)
    except OSError as error:
        return LogPart(trouble=f"{path.name} can't be read: {error.strerror}")
    if begin > 0:
        cut = content.find(b"\n") + 1
        content, begin = content[cut:], begin + cut
    return LogPart(tuple(_lines(content)), begin, behind, size)


def _lines(content: bytes) -> list[str]:
    text = content.decode("utf-8", "replace")
    return [_seen(line) for line in text.removesuffix("\n").split("\n")] if text else []


def _seen(line: str) -> str:
    """Give what a terminal would show of a line last: progress bars write over themselves."""
    last = line.rstrip("\r").rpartition("\r")[2]
    return printable(last[:LINE_CHARACTERS])
