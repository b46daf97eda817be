"""A connection of two crews, on which one record follows another."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec

LONGEST_LINE = 16 * 2**20
"""Of somebody who is known; a recipe is some KB."""
LONGEST_HELLO = 2**20
BLOCK_BYTES = 2**16
SILENT_SECONDS = 20.0
"""Behind which a machine that should speak each second is taken for lost."""
SEND_SECONDS = 10
LEAVING_SECONDS = 1.0
"""That the other side has to read the last word: a connection that is closed over unread bytes takes it back."""

Heard = TypeVar("Heard")


class LineLost(Exception):
    """The other side is gone, or says what nobody understands."""


class Line(Generic[Heard]):
    """One side of it. Any thread may say something; one listens."""

    def __init__(self, connection: socket.socket, hears: Any, *, longest: int = LONGEST_LINE) -> None:
        """`hears`: the records that the other side may send."""
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
        self._connection = connection
        self._decoder = msgspec.json.Decoder(hears)
        self._read = bytearray()
        self._saying = threading.Lock()
        self._heard = time.monotonic()
        self.longest = longest

    @property
    def here(self) -> str:
        """This side's address."""
        return str(self._connection.getsockname()[0])

    @property
    def there(self) -> str:
        """The other side's address."""
        return str(self._connection.getpeername()[0])

    def say(self, record: msgspec.Struct) -> None:
        """Send one record. Raises: LineLost."""
        with self._saying:
            try:
                self._connection.sendall(msgspec.json.encode(record) + b"\n")
            except OSError as error:
                raise LineLost(f"the connection broke ({error.strerror or error})") from error

    def hear(self, seconds: float) -> Heard | None:
        """Wait for one record. Returns: None: none came in that time.

        Raises: LineLost: the other side is gone, was silent for too long, or sent something else.
        """
        until = time.monotonic() + seconds
        while (end := self._read.find(b"\n")) < 0:
            if len(self._read) > self.longest:
                raise LineLost("it sent more than a record can be")
            if not self._take(max(0.0, until - time.monotonic())):
                if time.monotonic() - self._heard > SILENT_SECONDS:
                    raise LineLost(f"it was silent for {SILENT_SECONDS:.0f} seconds")
                if time.monotonic() >= until:
                    return None
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        try:
            record: Heard = self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise LineLost("it sent what isn't a record of this version") from error
        return record

    def _take(self, seconds: float) -> bool:
        """Read what has come. Returns: whether something had."""
        try:
            poll = select.poll()
            poll.register(self._connection, select.POLLIN)
            if not poll.poll(1000 * seconds):
                return False
            block = self._connection.recv(BLOCK_BYTES)
        except ValueError:  # another thread closed it
            raise LineLost("the connection was closed") from None
        except OSError as error:
            raise LineLost(f"the connection broke ({error.strerror or error})") from error
        if not block:
            raise LineLost("it closed the connection")
        self._read += block
        self._heard = time.monotonic()
        return True

    def close(self) -> None:
        """End it; what was said before still arrives."""
        until = time.monotonic() + LEAVING_SECONDS
        with contextlib.suppress(OSError, LineLost):
            self._connection.shutdown(socket.SHUT_WR)
            while (left := until - time.monotonic()) > 0:
                self._take(left)
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
