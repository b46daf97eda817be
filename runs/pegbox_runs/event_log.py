"""events.jsonl: written a line at a time by one process, read by any number of others."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pegbox_methods.events import AnyEvent, Event, Notice, event_decoder, event_encoder
from pegbox_runs.line_tail import LineTail


class BadLine(msgspec.Struct, frozen=True):
    """A whole line of the log that holds no event."""

    number: int
    """From 1."""
    reason: str


class EventWriter:
    """Appends events, numbering on from what the log already holds.

    A log that can't be written never stops a run: lost events are counted, and the gap is told as soon as
    a write succeeds again.
    """

    def __init__(self, path: Path) -> None:
        self._encoder = event_encoder()
        self._lock = threading.Lock()
        self._seq, self._torn = _last_seq(path)
        self._lost = 0
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def emit(self, event: Event) -> None:
        """Number, time and append one event in a single write."""
        with self._lock:
            if self._lost:
                text = f"{self._lost} events are missing here: the log could not be written (disk full?)"
                if self._append(Notice(text=text, about="log-gap")):
                    self._lost = 0
            if not self._append(event):
                self._lost += 1

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)

    def _append(self, event: Event) -> bool:
        numbered = msgspec.structs.replace(event, seq=self._seq + 1, time=time.time())
        line = self._encoder.encode(numbered) + b"\n"
        if self._torn:
            line = b"\n" + line  # ends the half line that a dead writer or a full disk left behind
        try:
            written = os.write(self._file, line)
        except OSError:
            return False
        self._torn = written < len(line)
        if self._torn:
            return False
        self._seq += 1
        return True


class EventReader:
    """Follows a log from its first byte; each call gives only what is new."""

    def __init__(self, path: Path) -> None:
        self._tail = LineTail(path)
        self._decoder = event_decoder()

    def new(self) -> Iterator[list[AnyEvent | BadLine]]:
        """Give the new events in blocks, with a BadLine in the place of each line that holds none."""
        for chunk in self._tail.new_chunks():
            try:
                yield list(self._decoder.decode_lines(chunk))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                yield list(self._one_by_one(chunk))

    def _one_by_one(self, chunk: bytes) -> Iterator[AnyEvent | BadLine]:
        for number, line in enumerate(chunk.split(b"\n")[:-1], start=self._tail.lines + 1):
            try:
                yield self._decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                yield BadLine(number, str(error))


def _last_seq(path: Path, tail_bytes: int = 256 * 1024) -> tuple[int, bool]:
    """Find the number of the last whole event, and whether a torn line follows it."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - tail_bytes))
            tail = file.read()
    except FileNotFoundError:
        return 0, False
    decoder = event_decoder()
    for line in reversed(tail.split(b"\n")):
        try:
            return decoder.decode(line).seq, not tail.endswith(b"\n")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
    return 0, bool(tail) and not tail.endswith(b"\n")
