"""Rows in tokens, ready for the trainer: a table mapped from disk, and what was lost on the way to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
import pyarrow.compute
from datasets import Dataset, concatenate_datasets, disable_progress_bars

from pegbox_runs.rows.masking import IGNORED, MaskedRow

BATCH_ROWS = 1000
SCHEMA = pyarrow.schema(
    {
        "input_ids": pyarrow.list_(pyarrow.int32()),
        "labels": pyarrow.list_(pyarrow.int32()),
        "length": pyarrow.int32(),
    }
)
"""`length` is the number of tokens, so that nobody must read a row to sort by it."""
FILLER_TOKENS = 2
"""Of a filler row: the fewest of which a model makes a shifted label, even if it is none."""


class RowFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What rows in tokens come to."""

    rows: int = 0
    tokens: int = 0
    """Of all rows."""
    tokens_trained: int = 0
    """Tokens that carry a label."""
    truncated: int = 0
    """Rows that were longer than the limit."""
    tokens_lost: int = 0
    """Tokens that carried a label and were cut away."""
    dropped: int = 0
    """Rows left out because nothing learned was left of them."""
    without_end: int = 0
    """Rows in which no end token carries a label."""
    rewritten: int = 0
    """Rows of which the template leaves out a part of an answer, as some do with reasoning."""
    shortest: int = 0
    """Place of a row that is as short as any."""


@dataclass(frozen=True)
class Witness:
    """A row that shows something."""

    number: int
    """Among the rows given, from 0."""
    row: MaskedRow
    """Not cut yet."""


@dataclass(frozen=True)
class WrittenRows:
    """What was written, and rows to show where something is wrong; None where none is so."""

    facts: RowFacts
    untrained: Witness | None
    """The first of which nothing is learned."""
    least_trained: Witness | None
    """One with the smallest share of learned tokens."""
    endless: Witness | None
    """The first that learns something, and no end token."""


@dataclass(frozen=True)
class TokenRows:
    """Rows as the trainer takes them."""

    table: Dataset
    """Columns of SCHEMA."""
    facts: RowFacts

    @classmethod
    def of(cls, input_ids: Sequence[list[int]], labels: Sequence[list[int]]) -> TokenRows:
        """Take rows that are in memory."""
        lengths = [len(row) for row in input_ids]
        table = Dataset.from_dict({"input_ids": input_ids, "labels": labels, "length": lengths})
        facts = RowFacts(
            rows=len(lengths),
            tokens=sum(lengths),
            tokens_trained=sum(len(row) - row.count(IGNORED) for row in labels),
            shortest=min(range(len(lengths)), key=lengths.__getitem__, default=0),
        )
        return cls(table, facts)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def input_ids(self) -> Any:
        """Each row's tokens: a sequence that reads them as they are asked for."""
        return self.table["input_ids"]

    @property
    def labels(self) -> Any:
        """Each row's labels, as long as its tokens."""
        return self.table["labels"]

    def fingerprint(self, place: int | None = None) -> str:
        """Hash what rows are in tokens, or one of them; a million tokens take some milliseconds."""
        table = self.table if place is None else self.table.select([place])
        digest = hashlib.sha256()
        for part in table.with_format("arrow").iter(batch_size=BATCH_ROWS):
            for name in ("input_ids", "labels"):
                for column in (pyarrow.compute.list_value_length(part[name]), pyarrow.compute.list_flatten(part[name])):
                    digest.update(column.to_numpy().astype("int64").tobytes())
        return digest.hexdigest()


def with_fillers(table: Dataset, count: int, padding: int) -> Dataset:
    """Lay rows without a label behind a table's own: they go through the model as padding does, and teach nothing."""
    if not count:
        return table
    row: dict[str, Any] = {
        "input_ids": [padding] * FILLER_TOKENS,
        "labels": [IGNORED] * FILLER_TOKENS,
        "length": FILLER_TOKENS,
        "seq_lengths": [FILLER_TOKENS],  # of packed rows alone
    }
    columns = {name: [row[name]] * count for name in table.column_names}
    return concatenate_datasets([table, Dataset.from_dict(columns, features=table.features)])


def read_token_rows(path: Path, facts: RowFacts) -> TokenRows:
    """Map rows that were written to disk; their memory is the system's file cache, shared by all runs.

    Raises: OSError or pyarrow.ArrowException: the file isn't there, or isn't whole.
    """
    return TokenRows(Dataset.from_file(str(path)), facts)


def write_token_rows(rows: Iterable[MaskedRow], path: Path, *, length: int, ends: Set[int]) -> WrittenRows:
    """Cut rows at `length` tokens and write them, a batch at a time, as an Arrow stream.

    `ends` are the tokens that end an answer. Rows of which nothing is learned are counted and left out.
    """
    tally = _Tally(length, ends)
    cut_rows = (cut for row in rows if (cut := tally.take(row)) is not None)  # the rest of a long row is gone at once
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, SCHEMA) as stream:
        while kept := list(islice(cut_rows, BATCH_ROWS)):
            columns = [[ids for ids, _ in kept], [labels for _, labels in kept], [len(ids) for ids, _ in kept]]
            stream.write_batch(pyarrow.record_batch(columns, schema=SCHEMA))
    return tally.result()


def token_rows(rows: Iterable[MaskedRow], length: int, ends: Set[int]) -> TokenRows:
    """Cut rows at `length` tokens and keep them in memory, counted as `write_token_rows` counts them."""
    tally = _Tally(length, ends)
    kept = [cut for row in rows if (cut := tally.take(row)) is not None]
    table = TokenRows.of([ids for ids, _ in kept], [labels for _, labels in kept]).table
    return TokenRows(table, tally.result().facts)


class _Tally:
    """Cuts rows one by one and keeps count."""

    def __init__(self, length: int, ends: Set[int]) -> None:
        self._length, self._ends = length, ends
        self._counts = dict.fromkeys(RowFacts.__struct_fields__, 0)
        self._seen = 0
        self._least_tokens: int | None = None
        self._least_share = 2.0
        self._untrained: Witness | None = None
        self._least_trained: Witness | None = None
        self._endless: Witness | None = None

    def take(self, row: MaskedRow) -> tuple[list[int], list[int]] | None:
        """Cut a row. Returns: (tokens, labels), or None: nothing of it is learned."""
        counts, number = self._counts, self._seen
        self._seen += 1
        ids, labels = row.ids[: self._length], row.labels[: self._length]
        behind = row.labels[self._length :]
        counts["rewritten"] += row.rewritten
        counts["truncated"] += len(row.ids) > len(ids)
        counts["tokens_lost"] += len(behind) - behind.count(IGNORED)
        trained = len(labels) - labels.count(IGNORED)
        if not trained:
            counts["dropped"] += 1
            self._untrained = self._untrained or Witness(number, row)
            return None
        if trained < self._least_share * len(ids):
            self._least_share, self._least_trained = trained / len(ids), Witness(number, row)
        if self._ends.isdisjoint(labels):
            counts["without_end"] += 1
            self._endless = self._endless or Witness(number, row)
        if self._least_tokens is None or len(ids) < self._least_tokens:
            self._least_tokens, counts["shortest"] = len(ids), counts["rows"]
        counts["rows"] += 1
        counts["tokens"] += len(ids)
        counts["tokens_trained"] += trained
        return ids, labels

    def result(self) -> WrittenRows:
        """Give what all rows came to."""
        return WrittenRows(RowFacts(**self._counts), self._untrained, self._least_trained, self._endless)


disable_progress_bars()
