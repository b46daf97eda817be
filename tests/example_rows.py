"""The examples of a file, all of them, for tests that need some."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from pegbox_methods.recipe import RowSource
from pegbox_runs.rows.example import Example
from pegbox_runs.rows.formats import reader, understand
from pegbox_runs.rows.place import RawRow
from pegbox_runs.rows.reading import read_source
from pegbox_runs.rows.source import find_source


def examples_of(path: Path, limit: int | None = None) -> list[Example]:
    """Read a file's rows, at most `limit` of them; none may be bad."""
    rows: list[RawRow] = []
    for item in islice(read_source(find_source(RowSource(file=str(path)))), limit):
        assert isinstance(item, RawRow), item
        rows.append(item)
    return list(map(reader(understand(rows, "auto", {}, source=str(path))), (row.fields for row in rows)))
