"""The bytes of a file, out of gzip and Zstandard where need be; what was whole before a break is always given."""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

CHUNK_BYTES = 64 * 1024
ROW_BYTES = 16 * 1024 * 1024
"""No longer line is loaded: at four bytes a token that is four times the longest sequence a recipe allows."""


class Broken(Exception):
    """A file can't be read any further; the message is a clause that says why."""


def open_bytes(path: Path, packing: str) -> io.BufferedReader:
    """Open a file, unpacked on the way; `packing` is `.gz`, `.zst` or empty.

    Raises: Broken: it can't be opened. Reading raises it too, once all that is whole was given.
    """
    try:
        if packing == ".gz":
            return io.BufferedReader(_Unpacked(_Gunzip(path)), CHUNK_BYTES)
        if packing == ".zst":
            return io.BufferedReader(_Unpacked(_Unzstd(path)), CHUNK_BYTES)
        return io.BufferedReader(_Plain(path), 4 * CHUNK_BYTES)
    except OSError as error:
        raise Broken(f"can't be opened: {error.strerror or error}") from None


@contextmanager
def unpacked(path: Path, packing: str) -> Iterator[Path]:
    """Give a path at which the unpacked file lies for as long as it is needed.

    Raises: Broken.
    """
    if not packing:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="pegbox-rows-") as folder:
        spool = Path(folder) / "unpacked"
        try:
            with open_bytes(path, packing) as stream, spool.open("wb") as file:
                shutil.copyfileobj(stream, file, CHUNK_BYTES)
        except OSError as error:
            raise Broken(f"can't be unpacked into {folder}: {error.strerror or error}") from None
        yield spool


def skip_line(stream: io.BufferedReader) -> int:
    """Go to the begin of the next line without keeping what is passed over. Returns: its bytes."""
    skipped = 0
    while chunk := stream.readline(CHUNK_BYTES):
        skipped += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return skipped


class _Plain(io.FileIO):
    """A file as it is, whose errors become Broken."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")

    def readinto(self, buffer: Any) -> int:
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise Broken(f"can't be read: {error.strerror or error}") from None


class _Packed(Protocol):
    """Something that unpacks a file."""

    def read(self, most: int) -> bytes:
        """Give the next bytes. Raises: EOFError: they break off; OSError or zlib.error: they are damaged."""

    def close(self) -> None:
        """Let the file go."""


class _Unpacked(io.RawIOBase):
    """The bytes of a packed file, whose errors become Broken."""

    def __init__(self, packed: _Packed) -> None:
        super().__init__()
        self._packed = packed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            block = self._packed.read(len(buffer))
        except EOFError:
            raise Broken("ends in the middle, as a half-written file does") from None
        except (OSError, zlib.error) as error:
            raise Broken(f"is damaged: {getattr(error, 'strerror', None) or error}") from None
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._packed.close()
        super().close()


class _Gunzip:
    """Unpacks gzip as far as the file goes."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._unpacked = gzip.GzipFile(fileobj=self._file, mode="rb")

    def read(self, most: int) -> bytes:
        # Not `GzipFile.read`, which loses what it has already unpacked when it meets a break.
        return self._unpacked.read1(most)

    def close(self) -> None:
        self._file.close()


class _Unzstd:
    """Unpacks Zstandard with Arrow, which loses what it holds when it meets a break; so that is unpacked again."""

    def __init__(self, path: Path) -> None:
        path.open("rb").close()  # whose error says why, as Arrow's doesn't
        self._path = path
        self._given = 0
        self._bytewise = False
        self._stream = self._open()

    def read(self, most: int) -> bytes:
        try:
            block = cast(bytes, self._stream.read(1 if self._bytewise else most))
        except OSError as error:
            if not self._bytewise:
                self._start_over()
                return self.read(most)
            if "Truncated" in str(error):
                raise EOFError from None
            raise
        self._given += len(block)
        return block

    def close(self) -> None:
        self._stream.close()

    def _start_over(self) -> None:
        """Go again to the end of what was given; from there, byte by byte, nothing is lost."""
        self._stream.close()
        self._stream, self._bytewise = self._open(), True
        left = self._given
        while left:
            block = self._stream.read(min(left, CHUNK_BYTES))
            if not block:  # somebody has made the file shorter meanwhile
                raise EOFError
            left -= len(block)

    def _open(self) -> Any:
        import pyarrow

        return pyarrow.input_stream(str(self._path), compression="zstd")
