"""A growing file of lines, read once: each call returns what is new and whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CHUNK_BYTES = 128 * 2**10
"""From 512 KiB on a fold takes a quarter longer: what a block is made into no longer fits a processor's cache."""


class LineTail:
    """Remembers how far a file was read. A last line without its newline is left until it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        """Bytes read so far; always just behind a newline."""
        self.share = 0.0
        """Of the bytes that were there when the file was opened last, those read so far."""
        self._begin = 0
        """Bytes before the newest block."""
        self._counted = (0, 0)
        """Bytes of which the lines were counted, and how many those are."""

    def new_chunks(self) -> Iterator[bytes]:
        """Give the new whole lines in blocks of 128 KiB, each ending with a newline.

        A file that isn't there yet has none.
        """
        try:
            file = self.path.open("rb", buffering=0)
        except FileNotFoundError:
            return
        with file:
            file.seek(self.offset)
            rest, seen, size = b"", self.offset, max(os.fstat(file.fileno()).st_size, 1)
            while block := file.read(CHUNK_BYTES):
                seen += len(block)
                self.share = min(seen / size, 1.0)
                block = rest + block
                end = block.rfind(b"\n") + 1
                chunk, rest = block[:end], block[end:]
                if chunk:
                    self._begin, self.offset = self.offset, self.offset + end
                    yield chunk

    def lines_before(self) -> int:
        """Count the lines before the newest block, as far as they are still there.

        They are read once more for it: only a bad line has to be named so.
        """
        begin, lines = self._counted
        with suppress(OSError), self.path.open("rb", buffering=0) as file:
            file.seek(begin)
            while begin < self._begin and (block := file.read(min(CHUNK_BYTES, self._begin - begin))):
                lines += block.count(b"\n")
                begin += len(block)
        self._counted = (begin, lines)
        return lines
