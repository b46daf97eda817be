"""What the doctor says of rows, as records that go into JSON as they are and onto every screen."""

from __future__ import annotations

from typing import Literal

import msgspec

from pegbox_methods.advice.data_card import AtLength

Level = Literal["green", "yellow", "red"]


class Shown(msgspec.Struct, frozen=True):
    """One row as an example of a finding. Both may hold text from outside."""

    place: str
    text: str
    """What is wrong there, and the passage; one line of at most 200 characters."""


class RowFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was found in the rows."""

    name: str
    """A short stable word: `exact-duplicates`."""
    title: str
    """The same for people, without a full stop: `exact duplicates`."""
    level: Level
    """Red: training on it would be refused or spoilt. Yellow: worth a look. Green: for information."""
    rows: int
    share: float
    """Of all rows."""
    text: str
    """One sentence: what it is and why it matters."""
    examples: tuple[Shown, ...] = ()
    """At most three."""
    todo: str
    """One sentence: what to do."""
    fix: Literal["leaves out", "mends"] | None = None
    """What `--fix` does with such rows; None: nothing."""
    source: str = ""
    """Where a threshold comes from."""


class Bin(msgspec.Struct, frozen=True):
    """One bar of a histogram: rows of `begin` up to, and without, `stop` tokens."""

    begin: int
    stop: int
    rows: int


class Padding(msgspec.Struct, frozen=True):
    """What an order of rows wastes."""

    order: str
    """As training.order names it."""
    share: float
    """Of all positions that go through the model, those that are padding."""


class Lengths(msgspec.Struct, frozen=True, kw_only=True):
    """The rows in tokens."""

    rows_counted: int
    """All rows, or a sample drawn by chance."""
    tokens: int
    """Of the rows counted."""
    tokens_trained: int
    percentiles: dict[str, int]
    """p50, p90, p95, p99, max."""
    histogram: tuple[Bin, ...]
    limits: tuple[AtLength, ...]
    """What each usual limit does, shortest first."""
    recommended: int
    """Value for training.length."""
    why: str
    micro_batch: int
    """Rows in a micro-batch that `padding` is told for."""
    padding: tuple[Padding, ...]
    counted_with: str
    estimate: str | None = None
    """Why the counts are estimates; None: they are what training will see."""


class Value(msgspec.Struct, frozen=True):
    """One value of a column. It is text from outside."""

    value: str
    rows: int
    share: float


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows spread over a column's values, the most frequent first."""

    column: str
    values: tuple[Value, ...]
    """At most twenty."""
    others: int
    """Rows with other values."""
    distinct: int
    missing: int
    """Rows without the column."""


class Advised(msgspec.Struct, frozen=True):
    """One piece of advice that follows from the number of rows."""

    about: str
    """A key of the recipe, or a word such as `overfitting`."""
    text: str
    source: str


class SplitFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows would be parted."""

    trained: int
    held_out: int
    by: str
    """In words: how the side of a row is decided."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that the doctor says of one source of rows."""

    source: str
    """As it was asked for."""
    files: int
    bytes: int
    format: str
    evidence: str
    """A clause: why it is that format."""
    rows: int
    """Good rows."""
    rejected: int
    findings: tuple[RowFinding, ...]
    """The worst first."""
    balance: Balance | None
    split: SplitFacts | None
    """None: there are too few rows to part."""
    advice: tuple[Advised, ...]
    model: str | None
    lengths: Lengths | None
    """None: no model was named, so there are no tokens to count."""
    seconds: float

    @property
    def fit(self) -> bool:
        """Whether a run would take these rows as they are."""
        return not any(finding.level == "red" for finding in self.findings)
