"""Parquet and Arrow: rows by number, loaded a few thousand at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from pegbox_runs.printable import one_line
from pegbox_runs.rows.place import Place, RawRow, Rejected
from pegbox_runs.rows.reading.streams import Broken

BATCH_ROWS = 4096
BATCH_BYTES = 4 * 1024 * 1024
ARROW_MAGIC = b"ARROW1"
UNREADABLE = (pyarrow.ArrowException, OSError, ValueError, OverflowError, SystemError)
"""ValueError: text that isn't UTF-8, or a date out of range. SystemError: a length that can't be one."""
KEYS_NAMED = 30
KEY_LETTERS = 60


def read_parquet(path: Path, file: str, groups: range | None = None) -> Iterator[RawRow | Rejected]:
    """Read row groups, by default all; one that is damaged costs its own rows only.

    Raises: Broken: it is no Parquet file, or its end is missing.
    """
    with _opened_parquet(path) as table:
        facts = table.metadata
        number = 0
        for index in range(facts.num_row_groups):
            group = facts.row_group(index)
            if groups is None or index in groups:
                yield from _row_group(table, index, file, number)
            number += group.num_rows


def row_groups(path: Path) -> list[int]:
    """Give the bytes of each row group of a Parquet file. Raises: Broken."""
    with _opened_parquet(path) as table:
        facts = table.metadata
        return [facts.row_group(index).total_byte_size for index in range(facts.num_row_groups)]


def read_arrow(path: Path, file: str) -> Iterator[RawRow | Rejected]:
    """Read an Arrow IPC file or stream; `datasets` writes the latter.

    Raises: Broken: it is neither.
    """
    number = 0
    try:
        with pyarrow.memory_map(str(path)) as mapped:
            is_file = mapped.read(len(ARROW_MAGIC)) == ARROW_MAGIC
            mapped.seek(0)
            reader = pyarrow.ipc.open_file(mapped) if is_file else pyarrow.ipc.open_stream(mapped)
            _refuse_twins(reader.schema.names)
            batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader
            for batch in batches:
                yield from _rows(batch, file, number)
                number += batch.num_rows
    except UNREADABLE as error:
        if number:
            yield Rejected(file, number + 1, "row", (), f"the file can't be read after row {number}: {_said(error)}")
            return
        raise Broken(f"isn't a whole Arrow file: {_said(error)}") from None


def _opened_parquet(path: Path) -> Any:
    try:
        opened = parquet.ParquetFile(path)
    except UNREADABLE as error:
        raise Broken(f"isn't a whole Parquet file: {_said(error)}") from None
    _refuse_twins(opened.schema_arrow.names)
    return opened


def _row_group(table: Any, index: int, file: str, before: int) -> Iterator[RawRow | Rejected]:
    group = table.metadata.row_group(index)
    row_bytes = group.total_byte_size // max(group.num_rows, 1) + 1
    size = max(1, min(BATCH_ROWS, BATCH_BYTES // row_bytes))
    number = before
    try:
        for batch in table.iter_batches(batch_size=size, row_groups=[index], use_threads=False):
            yield from _rows(batch, file, number)
            number += batch.num_rows
    except UNREADABLE as error:
        lost = f"rows {number + 1} to {before + group.num_rows} can't be read: {_said(error)}"
        yield Rejected(file, number + 1, "row", (), lost)


def _rows(batch: Any, file: str, before: int) -> Iterator[RawRow | Rejected]:
    for begin in range(0, batch.num_rows, BATCH_ROWS):
        portion = batch.slice(begin, BATCH_ROWS)
        try:
            portion.validate(full=True)  # Arrow doesn't, and follows a wrong offset wherever it leads
            rows = portion.to_pylist()
        except UNREADABLE:
            yield from _row_by_row(portion, file, before + begin)
            continue
        nested = any(pyarrow.types.is_nested(kind) for kind in portion.schema.types)
        for number, fields in enumerate(rows, start=before + begin + 1):
            yield RawRow(Place(file, number, "row"), _without_filling(fields) if nested else fields)


def _row_by_row(portion: Any, file: str, before: int) -> Iterator[RawRow | Rejected]:
    """Find the rows that spoil a portion, as those with text that isn't UTF-8."""
    for index in range(portion.num_rows):
        number, row, column = before + index + 1, portion.slice(index, 1), ""
        try:
            for column in portion.schema.names:
                row.column(column).validate(full=True)
            (fields,) = row.to_pylist()
        except UNREADABLE as error:
            keys = tuple(name[:KEY_LETTERS] for name in portion.schema.names[:KEYS_NAMED])
            yield Rejected(file, number, "row", keys, f'can\'t be read at "{one_line(column, 40)}": {_said(error)}')
        else:
            yield RawRow(Place(file, number, "row"), _without_filling(fields))


def _without_filling(fields: dict[str, Any]) -> dict[str, Any]:
    """Take the nulls out of objects inside a row.

    Arrow gives each object the keys of all: a tool call with one argument would come back with everybody's, as nulls.
    """
    return {key: _unfilled(value) for key, value in fields.items()}


def _unfilled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unfilled(inner) for key, inner in value.items() if inner is not None}
    return [_unfilled(item) for item in value] if isinstance(value, list) else value


def _refuse_twins(names: list[str]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise Broken(f"has more than one column of the name {one_line(twins[0], 40)!r}")


def _said(error: Exception) -> str:
    return one_line(str(error), 200) or type(error).__name__
