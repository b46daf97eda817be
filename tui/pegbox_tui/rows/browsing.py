"""What the data screen needs of rows: the report, and any row as the model sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pegbox_runs.rows.mask_view import ShownRow
from pegbox_runs.rows.place import Rejected
from pegbox_runs.rows.report import Report


@dataclass(frozen=True)
class BrowsedRow:
    """One row of the source, in tokens."""

    number: int
    """Among the good rows, from 1."""
    place: str
    """Where it lies. It may hold text from outside."""
    shown: ShownRow | None
    fault: str = ""
    """Why it can't be shown, where it can't."""


class BrowsedRows(Protocol):
    """Rows that were examined. Its methods are called in threads, one at a time."""

    @property
    def report(self) -> Report:
        """Give what the doctor says."""

    @property
    def length(self) -> int:
        """Give the tokens after which shown rows are cut."""

    @property
    def rejected(self) -> Sequence[Rejected]:
        """Give the rows that can't be taken."""

    def row(self, number: int) -> BrowsedRow:
        """Read the good row of a number from 1, and turn it into tokens."""

    def rows_of(self, finding: str) -> Sequence[int]:
        """Give the numbers of the rows that a finding concerns, in order; none where it concerns no good row."""


Look = Callable[[Callable[[float], None]], BrowsedRows]
"""Examines the rows; tells the share done, and stops where telling raises. Raises: Refusal."""
