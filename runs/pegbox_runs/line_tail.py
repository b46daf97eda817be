"""A growing file of lines, read once: each call returns what is new and whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CHUNK_BYTES = 512 * 2**10


class LineTail:
    """Remembers how far a file was read. A last line without its newline is left until it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        """Bytes read so far; always just behind a newline."""
        self.lines = 0
        """Lines read so far."""

    def new_chunks(self) -> Iterator[bytes]:
        """Give the new whole lines in blocks of half a MiB, each ending with a newline.

        A file that isn't there yet has none. `lines` counts a block once the next is asked for.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self.offset)
            rest = b""
            while block := file.read(CHUNK_BYTES):
                whole, newline, rest = (rest + block).rpartition(b"\n")
                if newline:
                    chunk = whole + newline
                    self.offset += len(chunk)
                    yield chunk
                    self.lines += chunk.count(b"\n")
