"""How alike texts really are, after their keys said that they might be: rows are read again, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pegbox_runs.rows.survey.orders import Shingles as Answered
from pegbox_runs.rows.survey.orders import ShinglesOf
from pegbox_runs.rows.survey.shingles import MOST_LETTERS
from pegbox_runs.rows.survey.survey import Survey
from pegbox_runs.rows.survey.workforce import Workforce

Indices = NDArray[np.int64]

BLOCK_LETTERS = 40_000_000
"""Texts whose shingles are in memory at once: about 25 MB of them."""
SHINGLES_AT_ONCE = 400_000
"""Compared in one go: about 15 MB for a moment."""
BODY, BESIDE = 0, 1


@dataclass(frozen=True)
class Shelf:
    """Rows of one source, and who reads them again."""

    survey: Survey
    force: Workforce


@dataclass(frozen=True)
class Shingled:
    """Rows' distinct shingles, one row behind the other: its body's, sorted, and those of what is beside it."""

    rows: Indices
    """Ascending."""
    begins: Indices
    """Two of each row, and the end."""
    shingles: NDArray[np.uint32]

    def spread(self, rows: Indices, part: int) -> tuple[NDArray[np.uint64], Indices]:
        """Give the shingles of rows' bodies (0) or of what is beside them (1).

        Returns: (each shingle below its row's position, ascending in all; how many each row has).
        """
        where = 2 * np.searchsorted(self.rows, rows) + part
        counts = self.begins[where + 1] - self.begins[where]
        positions = np.repeat(np.arange(len(rows), dtype=np.uint64), counts)
        ends = np.cumsum(counts)
        inside = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        found = self.shingles[np.repeat(self.begins[where], counts) + inside]
        return (positions << np.uint64(32)) | found, counts

    def counts(self, rows: Indices) -> Indices:
        """Count each row's shingles."""
        where = 2 * np.searchsorted(self.rows, rows)
        return self.begins[where + 2] - self.begins[where]


def similarities(
    left: Indices, right: Indices, left_shelf: Shelf, right_shelf: Shelf, *, whole: bool
) -> NDArray[np.float64]:
    """Compare rows pairwise: the first of `left` with the first of `right`, and so on.

    Their bodies are compared; `whole`: the rows with all that is beside them too, and the lesser likeness counts. Then
    neither a long system prompt that all rows share makes them alike, nor are those alike that differ in theirs.
    Pairs are best sorted by the right row, so that a block lies close together in its file.
    Returns: Jaccard similarities from 0 to 1. Raises: Refusal: a file has changed since its survey.
    """
    found = np.zeros(len(left))
    for block in _blocks(left, right, left_shelf.survey, right_shelf.survey):
        if left_shelf is right_shelf:
            lefts = rights = read_shingles(np.union1d(left[block], right[block]), left_shelf)
        else:
            lefts = read_shingles(np.unique(left[block]), left_shelf)
            rights = read_shingles(np.unique(right[block]), right_shelf)
        found[block] = _compare(left[block], right[block], lefts, rights, whole=whole)
    return found


def read_shingles(rows: Indices, shelf: Shelf) -> Shingled:
    """Read rows again and give their shingles. `rows`: ascending, each once."""
    inside = list(shelf.survey.by_part(rows))
    orders = [
        ShinglesOf(part.part, (shelf.survey.number[some] - np.uint32(part.lines_before)).astype("u4").tobytes())
        for part, some in inside
    ]
    begins: list[Indices] = [np.zeros(1, dtype=np.int64)]
    shingles: list[NDArray[np.uint32]] = []
    total = 0
    for answer in shelf.force.answers(orders, Answered):
        begins.append(np.frombuffer(answer.begins, dtype="u8")[1:].astype(np.int64) + total)
        shingles.append(np.frombuffer(answer.shingles, dtype="u4"))
        total += len(shingles[-1])
    return Shingled(rows, np.concatenate(begins), np.concatenate(shingles) if shingles else np.zeros(0, dtype="u4"))


def _blocks(left: Indices, right: Indices, left_survey: Survey, right_survey: Survey) -> Iterator[slice]:
    most = np.uint32(MOST_LETTERS)
    letters = np.minimum(left_survey.letters[left], most) + np.minimum(right_survey.letters[right], most)
    return _cut(letters.astype(np.int64), BLOCK_LETTERS)


def _compare(left: Indices, right: Indices, lefts: Shingled, rights: Shingled, *, whole: bool) -> NDArray[np.float64]:
    found = np.zeros(len(left))
    for block in _cut(lefts.counts(left) + rights.counts(right), SHINGLES_AT_ONCE):
        shared, all_of_both = _shared(lefts.spread(left[block], BODY), rights.spread(right[block], BODY))
        found[block] = shared / all_of_both
        if whole:
            more, all_beside = _shared(lefts.spread(left[block], BESIDE), rights.spread(right[block], BESIDE))
            found[block] = np.minimum(found[block], (shared + more) / (all_of_both + all_beside))
    return found


def _shared(ours: tuple[NDArray[np.uint64], Indices], theirs: tuple[NDArray[np.uint64], Indices]) -> tuple[Any, Any]:
    """Count for each pair the shingles that both have, and those that one of them has."""
    (our_shingles, our_counts), (their_shingles, their_counts) = ours, theirs
    if not len(our_shingles):
        return np.zeros(len(our_counts)), their_counts
    where = np.minimum(np.searchsorted(our_shingles, their_shingles), len(our_shingles) - 1)
    both = their_shingles[our_shingles[where] == their_shingles]
    shared = np.bincount((both >> np.uint64(32)).astype(np.int64), minlength=len(our_counts))
    return shared, our_counts + their_counts - shared


def _cut(sizes: Indices, most: int) -> Iterator[slice]:
    """Cut a sequence where the sizes so far go over `most`; every slice has at least one."""
    sums = np.cumsum(sizes)
    begin = 0
    while begin < len(sizes):
        before = int(sums[begin - 1]) if begin else 0
        stop = max(begin + 1, int(np.searchsorted(sums, before + most, side="right")))
        yield slice(begin, stop)
        begin = stop
