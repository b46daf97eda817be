"""JSON lines: a row on each line. What is wrong with one line costs that line, and no other."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import msgspec

from pegbox_runs.rows.place import Place, RawRow, Rejected
from pegbox_runs.rows.reading.refused_json import NESTING, TOO_DEEP, too_deep, why_not
from pegbox_runs.rows.reading.streams import ROW_BYTES, Broken, skip_line
from pegbox_runs.rows.reading.tally import Tally

UTF8_BOM = b"\xef\xbb\xbf"
REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

decode_row = msgspec.json.Decoder(dict[str, Any]).decode


def read_json_lines(
    stream: io.BufferedReader, file: str, tally: Tally, stop: int | None = None
) -> Iterator[RawRow | Rejected]:
    """Read from where the stream stands; a line is taken if it begins before byte `stop`, counted from there.

    Lines are numbered from 1, empty ones are passed over.
    """
    number, position = 0, 0
    readline, decode = stream.readline, decode_row
    try:
        while stop is None or position < stop:
            line = readline(ROW_BYTES + 1)
            if not line:
                break
            number += 1
            position += len(line)
            if len(line) > ROW_BYTES:
                rest = 0 if line.endswith(b"\n") else skip_line(stream)
                position += rest
                yield rejected_line(file, number, too_long(len(line) + rest))
                continue
            try:
                fields = decode(line)
            except REFUSED:
                taken = second_look(line, Place(file, number))
                if taken is not None:
                    yield taken
                continue
            if len(line) > 2 * NESTING and too_deep(line, fields):
                yield rejected_line(file, number, TOO_DEEP)
            else:
                yield RawRow(Place(file, number), fields)
    except Broken as error:
        tally.lines = number
        yield rejected_line(file, number + 1, f"the file {error} (after line {number})")
    tally.lines = number


def second_look(line: bytes, place: Place) -> RawRow | Rejected | None:
    """Tell what a line is that couldn't be taken at once: one behind a byte order mark, an empty one, or a bad one."""
    line = line.removeprefix(UTF8_BOM)
    if not line.strip():
        return None
    try:
        fields = decode_row(line)
    except REFUSED:
        return Rejected(place.file, place.number, place.unit, (), why_not(line))
    if too_deep(line, fields):
        return Rejected(place.file, place.number, place.unit, (), TOO_DEEP)
    return RawRow(place, fields)


def too_long(size: int) -> str:
    """Say that a line is too long to be loaded."""
    return f"is {size:,} bytes long; a row may have {ROW_BYTES:,}"


def rejected_line(file: str, number: int, reason: str) -> Rejected:
    """Name a line that can't be taken."""
    return Rejected(file, number, "line", (), reason)
