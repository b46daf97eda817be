"""Rows of several sources, one after the other, without holding them in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pegbox_runs.rows.example import Example
from pegbox_runs.rows.place import Place
from pegbox_runs.rows.survey.survey import Survey


@dataclass(frozen=True)
class Examples:
    """Rows of several sources, read from their files each time somebody walks through them."""

    parts: tuple[tuple[Survey, NDArray[np.int64]], ...]
    """A source's survey, and how often each of its good rows comes."""

    def __len__(self) -> int:
        return int(sum(copies.sum() for _, copies in self.parts))

    def place(self, number: int) -> Place:
        """Say where the row of a number lies, counted from 0 as they are walked through."""
        for surveyed, copies in self.parts:
            ends = np.cumsum(copies)
            if len(ends) and number < ends[-1]:
                return surveyed.place(int(np.searchsorted(ends, number, side="right")))
            number -= int(ends[-1]) if len(ends) else 0
        raise IndexError(number)

    def __iter__(self) -> Iterator[Example]:
        for surveyed, copies in self.parts:
            for index, _, example in surveyed.rows(np.flatnonzero(copies)):
                for _ in range(copies[index]):
                    yield example
