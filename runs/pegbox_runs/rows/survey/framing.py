"""Messages between processes: MessagePack behind its length."""

from __future__ import annotations

from typing import BinaryIO

LENGTH_BYTES = 8


def send(stream: BinaryIO, message: bytes) -> None:
    """Write one message. Raises: OSError: the other side has gone."""
    stream.write(len(message).to_bytes(LENGTH_BYTES, "big"))
    stream.write(message)
    stream.flush()


def receive(stream: BinaryIO) -> bytes | None:
    """Read one message; None if the other side has gone, be it in the middle of one."""
    length = stream.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    size = int.from_bytes(length, "big")
    message = stream.read(size)
    return message if len(message) == size else None
