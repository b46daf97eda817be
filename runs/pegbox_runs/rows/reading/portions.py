"""A source in portions that can be read apart from each other, as by two processes, or one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from pegbox_runs.rows.place import RawRow, Rejected
from pegbox_runs.rows.reading.json_document import holds_lines, read_json_document
from pegbox_runs.rows.reading.json_lines import read_json_lines
from pegbox_runs.rows.reading.streams import Broken, open_bytes, skip_line, unpacked
from pegbox_runs.rows.reading.tally import Tally
from pegbox_runs.rows.reading.text_table import read_text_table
from pegbox_runs.rows.source import Kind, Source, kind_of

LINES = (".jsonl", ".ndjson")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A portion of one file of a source; it goes through JSON to another process."""

    path: str
    file: str
    """As places name it."""
    begin: int = 0
    """Of JSON lines the first byte, of Parquet the first row group."""
    stop: int | None = None
    """Byte or row group behind the last; None: to the end."""
    lines: bool = False
    """Whether these are plain JSON lines, whatever the file's suffix."""

    @property
    def relative(self) -> bool:
        """Whether lines are counted from 1 within the part; those of the file's parts before it are to be added."""
        return self.lines and self.begin > 0


class PartRows:
    """The rows of a part, read while one goes through them; each iteration reads anew."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._tally = Tally()

    @property
    def lines(self) -> int:
        """Count the lines of JSON lines, empty ones too; known once all rows were gone through, 0 for other kinds."""
        return self._tally.lines

    def __iter__(self) -> Iterator[RawRow | Rejected]:
        try:
            yield from _read(self._part, self._tally)
        except Broken as error:
            yield Rejected(self._part.file, None, "line", (), str(error))


def read_source(source: Source) -> Iterator[RawRow | Rejected]:
    """Stream all files in order, the source's own problems first.

    Memory doesn't grow with the file, but for a list in a .json file.
    """
    yield from source.problems
    for path in source.files:
        yield from PartRows(Part(path=str(path), file=source.name_of(path)))


def parts(source: Source, part_bytes: int) -> list[Part]:
    """Cut a source into portions of about `part_bytes`, in order; what can't be cut stays whole.

    Read one after the other they give the rows of `read_source`, but for the source's own problems.
    """
    return [part for path in source.files for part in _cut(path, source.name_of(path), part_bytes)]


def read_part(part: Part) -> PartRows:
    """Read one portion. Its places are those of the file, unless the part is relative."""
    return PartRows(part)


def _cut(path: Path, file: str, part_bytes: int) -> list[Part]:
    whole = Part(path=str(path), file=file)
    kind = kind_of(path.name)
    try:
        if kind == Kind(".parquet", ""):
            return _cut_groups(whole, part_bytes)
        plain_lines = kind.packing == "" and (kind.form in LINES or (kind.form == ".json" and holds_lines(path, "")))
        size = path.stat().st_size
        if not plain_lines or size <= part_bytes or _other_encoding(path):
            return [whole]
    except (Broken, OSError):
        return [whole]  # reading it tells what is wrong
    starts = [*range(0, size, max(1, part_bytes))]
    lines = msgspec.structs.replace(whole, lines=True)
    return [
        msgspec.structs.replace(lines, begin=begin, stop=stop)
        for begin, stop in zip(starts, [*starts[1:], None], strict=True)
    ]


def _cut_groups(whole: Part, part_bytes: int) -> list[Part]:
    from pegbox_runs.rows.reading.columnar import row_groups

    found: list[Part] = []
    begin, held = 0, 0
    sizes = row_groups(Path(whole.path))
    for index, size in enumerate(sizes, start=1):
        held += size
        if held >= part_bytes or index == len(sizes):
            found.append(msgspec.structs.replace(whole, begin=begin, stop=index))
            begin, held = index, 0
    return found or [whole]


def _read(part: Part, tally: Tally) -> Iterator[RawRow | Rejected]:
    path, kind = Path(part.path), kind_of(part.path)
    if kind.form in (".parquet", ".arrow"):
        from pegbox_runs.rows.reading.columnar import read_arrow, read_parquet

        with unpacked(path, kind.packing) as plain:
            if kind.form == ".arrow":
                yield from read_arrow(plain, part.file)
            else:
                groups = range(part.begin, part.stop) if part.stop is not None else None
                yield from read_parquet(plain, part.file, groups)
        return
    if encoding := _other_encoding(path):
        raise Broken(f"is {encoding}; save it as UTF-8")
    if kind.form == ".json" and not part.lines:
        yield from read_json_document(path, kind.packing, part.file, tally)
        return
    with closing(open_bytes(path, kind.packing)) as stream:
        if kind.form in (".csv", ".tsv"):
            yield from read_text_table(stream, part.file, "," if kind.form == ".csv" else "\t")
            return
        begin = part.begin
        if begin:  # the line that goes over the border is the former part's
            stream.seek(begin - 1)
            begin += skip_line(stream) - 1
        yield from read_json_lines(stream, part.file, tally, None if part.stop is None else part.stop - begin)


def _other_encoding(path: Path) -> str | None:
    """Name the encoding of a text that isn't UTF-8, as Windows may write it; None: it seems to be. Raises: Broken."""
    with open_bytes(path, kind_of(path.name).packing) as stream:
        head = stream.read(4)
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32"
    unmarked = [byte == 0 for byte in head] in ([True, False] * 2, [False, True] * 2)
    return "UTF-16" if unmarked or head.startswith((b"\xff\xfe", b"\xfe\xff")) else None
