"""events.jsonl: written a line at a time by one process, read by any number of others."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from pegbox_methods.events import UNDECODABLE, AnyEvent, Event, Notice, event_decoder, event_encoder
from pegbox_runs.faults import mangled, now, strike
from pegbox_runs.line_tail import LineTail
from pegbox_runs.secrets import Redactor, redactor

HELD_EVENTS = 10_000
"""That a full disk keeps from the log: a few MB of memory. The oldest beyond that are lost, and counted."""
TAIL_BYTES = 64 * 1024


LOG_GAP = "log-gap"
"""What a notice is about that the writer itself adds, where it could not write."""


class BadLine(msgspec.Struct, frozen=True):
    """A whole line of the log that holds no event."""

    number: int
    """From 1."""
    reason: str


class EventWriter:
    """Appends events, numbering on from what the log already holds.

    A log that can't be written never stops a run: events are held and written once that succeeds, with a notice of
    how many came late; those that were too many to hold are counted, and the gap is told in their place. Times never
    go backwards in a log, though the machine's clock may: an event's is that of the event before it at least.
    Secrets and the home's path are taken out here, the one place where lines are written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoder = event_encoder()
        self._redactor: Redactor = redactor()
        self._lock = threading.Lock()
        self._held: deque[tuple[Event, float]] = deque()
        self._stuck = 0
        """How many of the held, from the first on, couldn't be written before."""
        self._late = 0
        self._lost = 0
        self._seq = 0
        self._time = 0.0
        self._torn = False
        self._file: int | None = None
        with self._lock:
            self._open()

    def emit(self, event: Event) -> None:
        """Number, time and append one event in a single write."""
        with self._lock:
            self._held.append((event, now()))
            if self._flush():
                return
            while len(self._held) > HELD_EVENTS:
                self._held.popleft()
                self._lost += 1
            self._stuck = len(self._held)

    def flush(self) -> bool:
        """Try once more to write what is held. Returns: whether nothing is held any more."""
        with self._lock:
            return self._flush()

    def close(self) -> None:
        """Write what is still held, if that is possible now, and release the file."""
        with self._lock:
            self._flush()
            if self._file is not None:
                with contextlib.suppress(OSError):  # a network file system may tell only here that its disk is full
                    os.close(self._file)
                self._file = None

    def _open(self) -> bool:
        """Open the log and read where it ends; what fails is tried again with the next event."""
        try:
            end = _end_of(self._path)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        self._seq, self._time, self._torn = end.seq, end.time, end.unfinished
        if end.cut_short:
            text = "the line before was cut short: its writer ended within it, and what it told is missing"
            self._held.appendleft((Notice(text=text, about=LOG_GAP), now()))
        return True

    def _flush(self) -> bool:
        """Write what is held, oldest first. Returns: whether nothing is held any more."""
        if self._file is None and not (self._held and self._open()):
            return not self._held
        while True:
            if self._lost and not self._tell_gap(f"{self._lost} events are missing here: the log could not be written"):
                return False
            self._lost = 0
            if self._late and not self._stuck:
                if not self._tell_gap(f"the log could not be written for a while; {self._late} events came late"):
                    return False
                self._late = 0
            if not self._held:
                return True
            if not self._append(*self._held[0]):
                return False
            self._held.popleft()
            if self._stuck:
                self._stuck -= 1
                self._late += 1

    def _tell_gap(self, text: str) -> bool:
        return self._append(Notice(text=f"{text} (disk full?)", about=LOG_GAP), 0.0)

    def _append(self, event: Event, happened: float) -> bool:
        happened = max(self._time, happened)
        line = self._line(msgspec.structs.replace(event, seq=self._seq + 1, time=happened))
        if self._torn:
            line = b"\n" + line  # ends the half line that a dead writer or a full disk left behind
        try:
            strike("event-write", step=getattr(event, "step", None))
            written = os.write(self._file or 0, mangled(line))
        except OSError:
            return False
        if written < len(line):
            self._torn = self._torn or written > 0
            return False
        self._seq, self._time, self._torn = self._seq + 1, happened, False
        return True

    def _line(self, event: Event) -> bytes:
        line = self._encoder.encode(event)
        if self._redactor.clean(line) != line:
            told = msgspec.json.decode(line)  # not to_builtins: what a job answers is JSON already, as msgspec.Raw
            line = self._encoder.encode({**self._redactor.clean_values(told), "event": told["event"]})
        return line + b"\n"


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
            except UNDECODABLE:
                yield list(self._one_by_one(chunk))

    @property
    def share(self) -> float:
        """Of the log as it was when it was looked at last, the part that was given; more may have come since."""
        return self._tail.share

    def _one_by_one(self, chunk: bytes) -> Iterator[AnyEvent | BadLine]:
        for number, line in enumerate(chunk.split(b"\n")[:-1], start=self._tail.lines_before() + 1):
            try:
                yield self._decoder.decode(line)
            except UNDECODABLE as error:
                yield BadLine(number, "it nests too deep" if isinstance(error, RecursionError) else str(error))


class _Numbered(msgspec.Struct, gc=False):
    """What is read of a line to number on from it: of any version's, so that no number is given twice."""

    event: str
    seq: int = 0
    time: float = 0.0


class _End(NamedTuple):
    """Where a log ends: the largest number and time, and whether its last line lacks its newline, or more."""

    seq: int = 0
    time: float = 0.0
    unfinished: bool = False
    cut_short: bool = False


def _end_of(path: Path) -> _End:
    """Find where a log ends. Looks further and further back until there is an event.

    Raises: OSError: it can't be read. A log that isn't there has no events.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return _End()
    with file:
        size = file.seek(0, os.SEEK_END)
        reach = TAIL_BYTES
        while True:
            file.seek(max(0, size - reach))
            lines = file.read(reach).split(b"\n")
            unfinished = bool(lines[-1])
            cut_short = unfinished and _numbered(lines[-1]) is None
            # The first may have begun before the reach; it counts once all is read.
            found = [one for one in map(_numbered, lines if reach >= size else lines[1:]) if one and one.seq]
            if found or reach >= size:
                return _End(
                    max((one.seq for one in found), default=0),
                    max((one.time for one in found), default=0.0),
                    unfinished,
                    cut_short,
                )
            reach *= 8


def _numbered(line: bytes) -> _Numbered | None:
    try:
        return _NUMBERED.decode(line)
    except UNDECODABLE:
        return None


_NUMBERED = msgspec.json.Decoder(_Numbered)
