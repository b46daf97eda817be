"""CSV and TSV: a row may go over several lines, and what is wrong with one costs the line on which it begins."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator

from pegbox_runs.printable import one_line
from pegbox_runs.rows.place import Place, RawRow, Rejected
from pegbox_runs.rows.reading.json_lines import UTF8_BOM, rejected_line, too_long
from pegbox_runs.rows.reading.streams import ROW_BYTES, Broken, skip_line

KEYS_NAMED = 30
KEY_LETTERS = 60


def read_text_table(stream: io.BufferedReader, file: str, separator: str) -> Iterator[RawRow | Rejected]:
    """Read rows as the first line names their columns.

    A .csv file whose first line has semicolons or tabs, and no comma, is separated by these.
    Raises: Broken: the first line can't be read.
    """
    csv.field_size_limit(ROW_BYTES)
    lines = _Lines(stream)
    head = lines.peek()
    if separator == "," and "," not in head:
        separator = next((other for other in ";\t" if other in head), ",")
    cells = csv.reader(lines, delimiter=separator, strict=True)
    columns = _columns(cells, lines)
    try:
        yield from _rows(cells, lines, file, columns)
    except Broken as error:
        yield rejected_line(file, lines.number + 1, f"the file {error} (after line {lines.number})")


def _columns(cells: Iterator[list[str]], lines: _Lines) -> list[str]:
    """Read the names of the columns. Raises: Broken."""
    try:
        columns = next(filter(None, cells), [])
    except _TooLong as error:
        raise Broken(f"has a first line that {error}") from None
    except csv.Error as error:
        raise Broken(f"has a first line that {_csv_fault(error, lines)}") from None
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise Broken(f"names the column {', '.join(map(_quoted, twice[:5]))} twice in its first line")
    if damage := _damage(columns):
        raise Broken(f"has a first line that {damage}")
    return columns


def _rows(cells: Iterator[list[str]], lines: _Lines, file: str, columns: list[str]) -> Iterator[RawRow | Rejected]:
    keys = tuple(column[:KEY_LETTERS] for column in columns[:KEYS_NAMED])
    while True:
        lines.begin_row()
        try:
            row = next(cells)
        except StopIteration:
            return
        except _TooLong as error:
            yield rejected_line(file, lines.first, str(error))
            lines.give_back()
            continue
        except csv.Error as error:
            yield rejected_line(file, lines.first, _csv_fault(error, lines))
            lines.give_back()
            continue
        if not row or (len(row) == 1 < len(columns) and not row[0].strip()):  # an empty line
            continue
        reason: str | None
        if len(row) != len(columns):
            reason = f"has {_columns_of(len(row))}, and the first line names {len(columns)} ({_named(columns)})"
        else:
            reason = _damage(row)
        if reason:
            yield Rejected(file, lines.first, "line", keys, reason)
        else:
            yield RawRow(Place(file, lines.first), dict(zip(columns, row, strict=True)))


class _TooLong(Exception):
    """A line or a row is longer than may be loaded."""


class _Lines(Iterator[str]):
    """Lines for the CSV reader; those of the row at hand are kept, so that reading can begin anew behind a bad one."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._again: deque[str | int] = deque()
        self._row: list[str | int] = []
        """A number stands for a line that is too long to be kept, and is its bytes."""
        self._row_letters = 0
        self.number = 0
        """Of the line that was last handed out, from 1."""

    @property
    def first(self) -> int:
        """Number of the line on which the row at hand begins."""
        return self.number - len(self._row) + 1

    def peek(self) -> str:
        """Look at the first line that isn't empty, and hand it out later all the same. Raises: Broken."""
        found = ""
        try:
            while not found.strip():
                found = next(self)
        except StopIteration:
            return ""
        except _TooLong as error:
            raise Broken(f"has a first line that {error}") from None
        self.give_back(0)
        self.begin_row()
        return found

    def begin_row(self) -> None:
        """Forget the lines of the row before."""
        self._row.clear()
        self._row_letters = 0

    def give_back(self, kept: int = 1) -> None:
        """Hand out again all lines of the row at hand but the first ones."""
        back = self._row[kept:]
        self._again.extendleft(reversed(back))
        self.number -= len(back)

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._load()
        if line == "":
            raise StopIteration
        self.number += 1
        self._row.append(line)
        if isinstance(line, int):
            alone = len(self._row) == 1
            raise _TooLong(too_long(line) if alone else f"opens a quote, and then line {self.number} {too_long(line)}")
        self._row_letters += len(line)
        if self._row_letters > ROW_BYTES and len(self._row) > 1:
            raise _TooLong(f"opens a quote that isn't closed within {ROW_BYTES:,} letters")
        return line

    def _load(self) -> str | int:
        block = self._stream.readline(ROW_BYTES + 1)
        if len(block) > ROW_BYTES:
            return len(block) + (0 if block.endswith(b"\n") else skip_line(self._stream))
        if not self.number:
            block = block.removeprefix(UTF8_BOM)
        # A byte that isn't UTF-8 becomes half a character, and is found in its row.
        return block.decode(errors="surrogateescape")


def _csv_fault(error: csv.Error, lines: _Lines) -> str:
    if str(error) == "unexpected end of data":
        return "opens a quote that isn't closed before the file ends"
    if str(error).startswith("new-line character"):
        return "holds a carriage return outside quotes; lines end with a line feed"
    return f"isn't valid CSV: {error}" + (f" (on line {lines.number})" if lines.number > lines.first else "")


def _damage(row: list[str]) -> str | None:
    text = "".join(row)
    if "\0" in text:
        return "holds a NUL byte"
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        content = next(cell for cell in row if not _is_whole(cell)).encode(errors="surrogateescape")
        try:
            content.decode()
        except UnicodeDecodeError as error:
            return f"isn't UTF-8 at byte {error.start + 1} (0x{content[error.start]:02x}) of a cell"
    return None


def _is_whole(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True


def _columns_of(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _named(columns: list[str]) -> str:
    return one_line(", ".join(columns), 120)


def _quoted(name: str) -> str:
    return f'"{one_line(name, 40)}"'
