"""A source of rows after one pass over it: what each row is, in a few numbers, and how to read it again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.example import Example
from pegbox_runs.rows.formats import Understanding, reader
from pegbox_runs.rows.place import Place, RawRow, Rejected
from pegbox_runs.rows.reading import Part, read_part
from pegbox_runs.rows.source import Source
from pegbox_runs.rows.survey.orders import Plan
from pegbox_runs.rows.survey.part import key_of


@dataclass(frozen=True)
class Checked:
    """What the checks need of each row."""

    flags: NDArray[np.uint32]
    """One bit for each check of a row by itself, as `row_checks.BITS` has them."""
    asked: NDArray[np.uint64]
    """A hash of what stands before the last answer; 0: nothing does."""
    bands: tuple[NDArray[np.uint32], ...]
    """Keys by which near duplicates find each other: twelve of each row."""
    balance: NDArray[np.uint64] | None
    """A hash of the column whose values are counted; 0: the row lacks it."""


@dataclass(frozen=True)
class SurveyedPart:
    """A part of the source, and which rows of the survey lie in it."""

    part: Part
    file: str
    begin: int
    """Its first row's index."""
    lines_before: int
    """Lines of the file before it, if it counts its own from 1."""
    unit: str


@dataclass(frozen=True)
class Survey:
    """All good rows of a source, in its order, as arrays of one entry each."""

    source: Source
    plan: Plan
    key: NDArray[np.uint64]
    """A hash of the content, 128 bits: (rows, 2)."""
    group: NDArray[np.uint64] | None
    stratum: NDArray[np.uint64] | None
    number: NDArray[np.uint32]
    """The row's line, or number, in its file."""
    letters: NDArray[np.uint32]
    parts: tuple[SurveyedPart, ...]
    rejected: tuple[Rejected, ...]
    """The first hundred thousand; and what can't be read of the source as a whole."""
    rejected_count: int
    conversational: bool
    checked: Checked | None

    def __len__(self) -> int:
        return len(self.key)

    @property
    def understanding(self) -> Understanding:
        """Say how the rows are read."""
        return self.plan.understanding

    @property
    def checks(self) -> Checked:
        """Give what the checks need. Raises: ValueError: the survey was made without."""
        if self.checked is None:
            raise ValueError("a survey without checks")
        return self.checked

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """Give the first half of each key, enough to choose by."""
        return np.ascontiguousarray(self.key[:, 0])

    def place(self, index: int) -> Place:
        """Say where a row lies."""
        part = self._part_of(index)
        return Place(part.file, int(self.number[index]), part.unit)

    def row(self, index: int) -> tuple[Place, Example]:
        """Read a row again. Raises: Refusal: the file has changed since."""
        ((_, raw, example),) = self.rows([index])
        return raw.place, example

    def rows(self, indices: Iterable[int]) -> Iterator[tuple[int, RawRow, Example]]:
        """Read rows again, in the source's order. Raises: Refusal: a file has changed since."""
        read = reader(self.understanding)
        for index, raw in self._raw(sorted(set(map(int, indices)))):
            example = read(raw.fields)
            if key_of(example) != self.key[index].tobytes():
                raise _changed(raw.place.file)
            yield index, raw, example

    def by_part(self, indices: Sequence[int] | NDArray[np.int64]) -> Iterator[tuple[SurveyedPart, NDArray[np.int64]]]:
        """Sort ascending indices by the part they lie in."""
        wanted = np.asarray(indices, dtype=np.int64)
        begins = np.array([part.begin for part in self.parts], dtype=np.int64)
        where = np.searchsorted(begins, wanted, side="right") - 1
        for number in np.unique(where):
            yield self.parts[number], wanted[where == number]

    def _raw(self, indices: Sequence[int]) -> Iterator[tuple[int, RawRow]]:
        for surveyed, inside in self.by_part(indices):
            wanted = {int(self.number[index]) - surveyed.lines_before: int(index) for index in inside}
            for item in read_part(surveyed.part):
                if isinstance(item, Rejected) or item.place.number not in wanted:
                    continue
                index = wanted.pop(item.place.number)
                yield index, item._replace(place=self.place(index))
                if not wanted:
                    break
            if wanted:
                raise _changed(surveyed.file)

    def _part_of(self, index: int) -> SurveyedPart:
        return self.parts[bisect_right(self.parts, index, key=lambda part: part.begin) - 1]


def _changed(file: str) -> Refusal:
    return Refusal(f"{file}: the file has changed while it was looked at; begin again.")
