"""A .json file: a list of rows, an object that holds the list, one row alone, or JSON lines under that name."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pegbox_runs.printable import one_line
from pegbox_runs.rows.place import Place, RawRow, Rejected
from pegbox_runs.rows.reading.json_lines import REFUSED, UTF8_BOM, read_json_lines, second_look
from pegbox_runs.rows.reading.refused_json import said, why_not
from pegbox_runs.rows.reading.streams import ROW_BYTES, Broken, open_bytes
from pegbox_runs.rows.reading.tally import Tally

DOCUMENT_BYTES = 4 * 1024**3
"""A list is loaded whole, its rows one by one."""
ROWS_KEYS = ("data", "rows", "examples", "instances", "train")
"""An object with one of these, and a list of objects under it, is taken for the list. Any other object is a row."""

_GAP = re.compile(rb"[\s,]*")
_SPACE = re.compile(r"[ \t\n\r]*")


def read_json_document(path: Path, packing: str, file: str, tally: Tally) -> Iterator[RawRow | Rejected]:
    """Read a .json file, whichever of the four it is; a list's memory is that of the file.

    Rows of a list are told by the line on which they begin, or by their number where two share a line. Where the list
    breaks off, what is whole before that is given; what is wrong or left unread behind it is told.
    Raises: Broken.
    """
    if holds_lines(path, packing):
        with open_bytes(path, packing) as stream:
            yield from read_json_lines(stream, file, tally)
        return
    content, broken = _whole(path, packing)
    if len(content) > DOCUMENT_BYTES:
        raise Broken(f"is a list of more than {DOCUMENT_BYTES:,} bytes, which is loaded whole; save it as JSON lines")
    content = content.removeprefix(UTF8_BOM)
    if content.isspace() or not content:
        if broken:
            raise Broken(broken)
        return
    begin = _list_begin(content)
    if begin is None:
        yield from _one_row(content, file)
        return
    found = _spans(content, begin)
    yield from _rows(content, found.spans, file)
    if found.fault:
        fault = f"{found.fault} (the file {broken})" if broken else found.fault
        yield Rejected(file, len(found.spans) // 2 + 1, "row", (), fault)
    if found.others:
        yield Rejected(file, None, "row", (), _unread(content[:begin], found.others))


def holds_lines(path: Path, packing: str) -> bool:
    """Tell whether a .json file holds JSON lines: its first line alone is an object, and it isn't all of a list's.

    Raises: Broken.
    """
    with open_bytes(path, packing) as stream:
        line = b"\n"
        while line and not line.removeprefix(UTF8_BOM).strip():
            line = stream.readline(ROW_BYTES + 1)
        if len(line) > ROW_BYTES:
            return False
        first, second = line.removeprefix(UTF8_BOM).strip(), stream.readline(ROW_BYTES).strip()
    if not first.startswith(b"{"):
        return False
    try:
        row = msgspec.json.decode(first)
    except REFUSED:
        if first.endswith((b"[", b",")) and _list_begin(first + b" " + second) is not None:
            return False
        return second.startswith(b"{") and not second.endswith(b",")  # a bad first line doesn't spoil the others
    return bool(second) or not any(_is_list_of_rows(row.get(key)) for key in ROWS_KEYS)


def _is_list_of_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _whole(path: Path, packing: str) -> tuple[bytes, str]:
    """Load all bytes, up to one more than is allowed. Returns: (bytes, why they break off or empty). Raises: Broken."""
    blocks: list[bytes] = []
    size = 0
    with open_bytes(path, packing) as stream:
        if not packing:  # in one piece, where joining would need twice the memory
            return stream.read(min(path.stat().st_size, DOCUMENT_BYTES) + 1), ""
        try:
            while size <= DOCUMENT_BYTES and (block := stream.read1(1024 * 1024)):
                blocks.append(block)
                size += len(block)
        except Broken as error:
            return b"".join(blocks), str(error)
    return b"".join(blocks), ""


def _list_begin(content: bytes) -> int | None:
    """Find the bracket that opens the list of rows; None: there is no list."""
    if opening := re.match(rb"\s*\[", content):
        return opening.end() - 1
    keys = b"|".join(key.encode() for key in ROWS_KEYS)
    # Only before the first bracket, so that a row's own fields are never taken for it.
    opening = re.match(rb'\s*\{[^\[{]*?"(?:' + keys + rb')"\s*:\s*(\[)\s*\{', content)
    return opening.start(1) if opening else None


def _one_row(content: bytes, file: str) -> Iterator[RawRow | Rejected]:
    """Take the file for one row that may be spread over lines."""
    taken = second_look(content, Place(file, 1, "row"))
    if isinstance(taken, Rejected):
        start = one_line(content[:200].decode(errors="replace"), 60)
        yield Rejected(file, None, "row", (), f"holds no list of rows, [{{...}}, ...], but {start}: {_fault(content)}")
    elif taken is not None:
        yield taken


def _fault(content: bytes) -> str:
    try:
        json.loads(content.decode())
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return "several values, each of which belongs on a line of its own"
        return f"not valid JSON at line {error.lineno}, column {error.colno}: {said(error)}"
    except (ValueError, RecursionError):
        pass
    return why_not(content)


class _List(NamedTuple):
    """The rows of a list, as they lie in the bytes."""

    spans: array[int]
    """Where the first row begins and ends, then the second, and so on."""
    fault: str = ""
    """Why it breaks off there, or what is wrong around it."""
    others: tuple[str, ...] = ()
    """Keys of the object around it that hold further lists of objects."""


def _spans(content: bytes, begin: int) -> _List:
    """Find the rows of a list."""
    whole = not content[:begin].strip()
    if whole:
        try:
            raw = msgspec.json.decode(content, type=list[msgspec.Raw])
        except REFUSED:
            pass  # below it is found where
        else:
            return _List(_placed(content, begin, raw))
    return _one_by_one(content, begin, whole=whole)


def _placed(content: bytes, begin: int, raw: list[msgspec.Raw]) -> array[int]:
    """Find valid elements again: between them there is nothing but space and one comma."""
    spans: array[int] = array("Q")
    position = begin + 1
    for element in raw:
        gap = _GAP.match(content, position)
        position = gap.end() if gap else position
        spans.append(position)
        position += len(memoryview(element))
        spans.append(position)
    return spans


def _one_by_one(content: bytes, begin: int, *, whole: bool) -> _List:
    """Go from element to element with Python's own JSON, which says where it fails; slow, so not for a good list.

    `whole` is whether the list is all there is in the file.
    """
    text = content.decode(errors="surrogateescape")
    decoder = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)
    spans: array[int] = array("Q")
    place, passed = begin + 1, begin + 1  # in characters, in bytes; before the bracket they are the same
    if not content[:begin].isascii():
        place = len(content[: begin + 1].decode(errors="surrogateescape"))

    def forward(to: int) -> None:
        nonlocal place, passed
        passed += len(text[place:to].encode(errors="surrogateescape"))
        place = to

    try:
        while True:
            forward(_after_space(text, place))
            if text.startswith("]", place):
                behind = _after_space(text, place + 1)
                if not whole:
                    decoder.decode(f"{content[:begin].decode(errors='surrogateescape')}0}}")
                    return _List(spans, others=_around(text, behind, decoder))
                if behind < len(text):
                    raise json.JSONDecodeError("Something follows the list", text, behind)
                return _List(spans)
            if spans:
                if not text.startswith(",", place):
                    raise json.JSONDecodeError("Expecting ',' delimiter", text, place)
                forward(_after_space(text, place + 1))
            _, end = decoder.raw_decode(text, place)
            spans.append(passed)
            forward(end)
            spans.append(passed)
    except json.JSONDecodeError as error:
        at = f"at line {error.lineno}, column {error.colno}"
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            what = "the object around the list" if text.startswith("]", place) else "the list"
            return _List(spans, f"{what} ends in the middle, as in a half-written file ({said(error)} {at})")
        return _List(spans, f"isn't valid JSON {at}: {said(error)}; nothing behind it can be read")
    except RecursionError:
        return _List(spans, "is nested too deeply; nothing behind it can be read")


def _around(text: str, place: int, decoder: json.JSONDecoder) -> tuple[str, ...]:
    """Go through the rest of the object that holds the list.

    Returns: the keys that hold further lists of objects. Raises: json.JSONDecodeError, RecursionError.
    """
    others: list[str] = []
    while not text.startswith("}", place):
        if not text.startswith(",", place):
            raise json.JSONDecodeError("Expecting ',' delimiter", text, place)
        begin = _after_space(text, place + 1)
        if not text.startswith('"', begin):
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, begin)
        key, end = decoder.raw_decode(text, begin)
        colon = _after_space(text, end)
        if not text.startswith(":", colon):
            raise json.JSONDecodeError("Expecting ':' delimiter", text, colon)
        value, end = decoder.raw_decode(text, _after_space(text, colon + 1))
        if _is_list_of_rows(value):
            others.append(key)
        place = _after_space(text, end)
    behind = _after_space(text, place + 1)
    if behind < len(text):
        raise json.JSONDecodeError("Something follows the object", text, behind)
    return tuple(others)


def _unread(before: bytes, others: tuple[str, ...]) -> str:
    """Say that an object has more than one list of rows, where `before` stands before the one that is read."""
    key = before.rsplit(b'"', 2)[1].decode()
    named = ", ".join(f'"{one_line(other, 40)}"' for other in others[:5])
    return f'only "{key}" is read; {named} {"holds" if len(others) == 1 else "hold"} rows too'


def _after_space(text: str, place: int) -> int:
    space = _SPACE.match(text, place)
    return space.end() if space else place


def _rows(content: bytes, spans: array[int], file: str) -> Iterator[RawRow | Rejected]:
    # A number must belong to one row alone, as rows are found again by it.
    begins = spans[::2]
    by_line = all(content.find(b"\n", before, begin) >= 0 for before, begin in pairwise(begins))
    line, passed = 1, 0
    for number, (begin, end) in enumerate(zip(begins, spans[1::2], strict=True), start=1):
        if by_line:
            line += content.count(b"\n", passed, begin)
            passed = begin
        place = Place(file, line, "line") if by_line else Place(file, number, "row")
        taken = second_look(content[begin:end], place)
        if taken is not None:
            yield taken
