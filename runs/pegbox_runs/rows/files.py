"""Rows as they lie in a file: JSON, JSONL, CSV or Parquet, one dict each with the place it came from."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pegbox_methods.refusal import Refusal, did_you_mean

SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")

RawRow = tuple[str, dict[str, Any]]
"""(place such as `line 12`, the row)."""


def read_rows(path: Path, limit: int | None = None) -> list[RawRow]:
    """Read a file's rows, at most `limit` of them.

    Raises: Refusal: the file isn't there, can't be read, is empty, broken, or of an unknown kind.
    """
    readers = {".json": _json, ".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    try:
        _refuse_absent(path)
    except OSError as error:
        raise Refusal(f"{path}: can't read the rows: {error.strerror or error}.") from None
    if reader is None:
        raise Refusal(f"{path}: rows of kind {path.suffix or 'no suffix'!r}; accepted are {', '.join(SUFFIXES)}.")
    try:
        rows = list(islice(reader(path), limit))
    except RecursionError:
        raise Refusal(f"{path}: a row is nested too deeply to be read.") from None
    except UnicodeDecodeError as error:
        raise Refusal(f"{path}: not UTF-8 at byte {error.start} ({error.reason}). Save the file as UTF-8.") from None
    except OSError as error:
        raise Refusal(f"{path}: can't read the rows: {error.strerror or error}.") from None
    if not rows:
        raise Refusal(f"{path}: the file holds no rows.")
    return rows


def fingerprint(path: Path) -> str:
    """Hash a file's bytes with SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_absent(path: Path) -> None:
    if path.is_dir():
        raise Refusal(f"{path}: is a folder; give one file of rows ({', '.join(SUFFIXES)}).")
    if not path.exists():
        beside = [entry.name for entry in path.parent.glob("*") if entry.suffix in SUFFIXES]
        hint = f" {did_you_mean(path.name, beside)}." if beside else ""
        raise Refusal(f"{path}: there is no such file of rows.{hint}")


def _json(path: Path) -> Iterator[RawRow]:
    text = path.read_text(encoding="utf-8-sig")
    if not text.strip():
        return
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # several values: JSON lines under a .json name
            yield from _jsonl(path)
            return
        raise Refusal(f"{path}: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}.") from None
    except ValueError as error:  # a number of thousands of digits
        raise Refusal(f"{path}: not readable JSON: {error}.") from None
    if not isinstance(table, list):
        found = f"an object with the keys {', '.join(map(str, table))}" if isinstance(table, dict) else repr(table)
        raise Refusal(f"{path}: expected a list of rows, [{{...}}, ...]; found {found[:200]}.")
    for number, row in enumerate(table, start=1):
        yield _as_row(path, f"row {number}", row)


def _jsonl(path: Path) -> Iterator[RawRow]:
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise Refusal(
                    f"{path}: line {number} is not valid JSON: {error.msg} at column {error.colno}."
                ) from None
            except ValueError as error:  # a number of thousands of digits
                raise Refusal(f"{path}: line {number} is not readable JSON: {error}.") from None
            yield _as_row(path, f"line {number}", row)


def _csv(path: Path) -> Iterator[RawRow]:
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB refuses long answers
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restkey="", strict=True)
        try:
            for row in reader:
                if "" in row or None in row.values():
                    columns = len(reader.fieldnames or ())
                    raise Refusal(
                        f"{path}: line {reader.line_num} hasn't the {columns} columns of the first line "
                        f"({', '.join(reader.fieldnames or ())})."
                    )
                yield f"line {reader.line_num}", dict(row)
        except csv.Error as error:
            raise Refusal(f"{path}: line {reader.line_num} is not valid CSV: {error}.") from None


def _parquet(path: Path) -> Iterator[RawRow]:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
        for number, row in enumerate(rows, start=1):
            yield f"row {number}", row
    except pyarrow.ArrowException as error:
        raise Refusal(f"{path}: not a readable Parquet file: {error}.") from None


def _as_row(path: Path, place: str, row: object) -> RawRow:
    if not isinstance(row, dict):
        raise Refusal(f"{path}: {place} is not an object with named fields but {str(row)[:80]!r}.")
    return place, row
