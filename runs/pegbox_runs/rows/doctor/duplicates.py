"""Rows that are there twice: equal ones by their keys, and near ones by the bands of their MinHash."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pegbox_runs.rows.doctor.similarity import Indices, Shelf, similarities
from pegbox_runs.rows.survey.shingles import BANDS, SIMILARITY
from pegbox_runs.rows.survey.survey import Survey

ALL_PAIRS = 8
"""Rows with one key that are all compared with each other."""
NEIGHBOURS = 64
"""Up to so many, each is compared with the next as well as with the first; above, with the first alone: those are
texts from one template, and comparing a million of them with each other would take years."""
PAIRS_AT_ONCE = 2_000_000
"""Candidates held before they are compared: 16 MB."""
_LEFT = np.uint64(32)


class Repeats(NamedTuple):
    """Rows that repeat an earlier one."""

    rows: Indices
    """Ascending; without the first of each kind."""
    first: Indices
    """For each of them that first one."""

    @classmethod
    def of(cls, rows: Indices, first: Indices) -> Repeats:
        """Leave out those that are their own first, and sort."""
        again = np.flatnonzero(rows != first)
        order = again[np.argsort(rows[again], kind="stable")]
        return cls(rows[order], first[order])


def equal_rows(survey: Survey) -> Repeats:
    """Find rows with the same content as an earlier one."""
    rows = repeated(survey.key[:, 0])  # few, so that the keys' other halves are sorted for these alone
    order = rows[np.lexsort((survey.key[rows, 1], survey.key[rows, 0]))]  # stable: the first of equal ones comes first
    keys = survey.key[order]
    begins = np.ones(len(keys), dtype=bool)
    begins[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return Repeats.of(order, order[begins][np.cumsum(begins) - 1])


def repeated(values: NDArray[np.generic]) -> Indices:
    """Give the indices of values that are there more than once, equal ones next to each other in their order."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    same = ordered[1:] == ordered[:-1]
    member = np.zeros(len(values), dtype=bool)
    member[1:] = same
    member[:-1] |= same
    return order[member]


def alike_rows(shelf: Shelf, staying: NDArray[np.bool_]) -> Repeats:
    """Find rows, among distinct ones that stay, that are near duplicates of an earlier one, directly or through others.

    Which pairs are compared depends on the rows' contents alone, not on their order.
    Raises: Refusal: a file has changed since its survey.
    """
    survey = shelf.survey
    rows = np.flatnonzero(staying)
    rows = rows[np.argsort(survey.key[rows, 0], kind="stable")]  # by content
    labels = np.arange(len(rows))
    waiting: list[NDArray[np.uint64]] = []
    for band, keys in enumerate(survey.checks.bands, start=1):
        pairs = np.concatenate(list(_bucket_pairs(keys[rows])))
        waiting.append(pairs[labels[_lefts(pairs)] != labels[_rights(pairs)]])
        if sum(map(len, waiting)) > PAIRS_AT_ONCE or band == BANDS:
            labels = _joined(labels, _verified(np.unique(np.concatenate(waiting)), rows, shelf))
            waiting.clear()
    joined = np.flatnonzero(labels != np.arange(len(rows)))
    roots, root_of = np.unique(labels[joined], return_inverse=True)
    first = rows[roots]
    np.minimum.at(first, root_of, rows[joined])
    members = np.concatenate([joined, roots])
    return Repeats.of(rows[members], np.concatenate([first[root_of], first]))


def alike_in(shelf: Shelf, rows: Indices, others: Shelf, other_rows: Indices) -> Indices:
    """Give for each of some rows one of another source that it is a near duplicate of; -1: none was found."""
    found = np.full(len(rows), -1, dtype=np.int64)
    waiting: list[NDArray[np.uint64]] = []
    for band in range(BANDS):
        theirs = others.survey.checks.bands[band][other_rows]
        left = np.flatnonzero(found < 0)
        waiting += _pairs_across(theirs, shelf.survey.checks.bands[band][rows], left)
        if sum(map(len, waiting)) > PAIRS_AT_ONCE or band == BANDS - 1:
            pairs = np.unique(np.concatenate(waiting))
            waiting.clear()
            pairs = pairs[np.argsort(rows[_rights(pairs)], kind="stable")]
            theirs_in_pair = other_rows[_lefts(pairs)]
            alike = similarities(theirs_in_pair, rows[_rights(pairs)], others, shelf, whole=False) >= SIMILARITY
            found[_rights(pairs)[alike]] = theirs_in_pair[alike]
    return found


def _pairs_across(theirs: NDArray[np.uint32], ours: NDArray[np.uint32], left: Indices) -> Iterator[NDArray[np.uint64]]:
    """Pair each row that is left with some of the others that have its key."""
    order = np.argsort(theirs, kind="stable")
    ordered = theirs[order]
    begins = np.searchsorted(ordered, ours[left])
    counts = np.searchsorted(ordered, ours[left], side="right") - begins
    for place in range(ALL_PAIRS):
        some = np.flatnonzero(counts > place)
        yield _pairs(order[begins[some] + place], left[some])


def _bucket_pairs(keys: NDArray[np.uint32]) -> Iterator[NDArray[np.uint64]]:
    """Pair rows that have a key in common: all pairs of few, of many each with the first."""
    rows = repeated(keys)
    begins = np.flatnonzero(np.concatenate([[True], keys[rows][1:] != keys[rows][:-1]])[: len(rows)])
    sizes = np.diff(np.append(begins, len(rows)))
    member_sizes = np.repeat(sizes, sizes)
    members = np.arange(len(rows))
    places = members - np.repeat(begins, sizes)
    for step in range(1, ALL_PAIRS):
        near = (places >= step) & ((member_sizes <= ALL_PAIRS) | ((step == 1) & (member_sizes <= NEIGHBOURS)))
        yield _pairs(rows[members[near] - step], rows[members[near]])
    far = (places > 0) & (member_sizes > ALL_PAIRS)
    yield _pairs(rows[members[far] - places[far]], rows[members[far]])


def _pairs(left: Indices, right: Indices) -> NDArray[np.uint64]:
    return (left.astype(np.uint64) << _LEFT) | right.astype(np.uint64)


def _lefts(pairs: NDArray[np.uint64]) -> Indices:
    return (pairs >> _LEFT).astype(np.int64)


def _rights(pairs: NDArray[np.uint64]) -> Indices:
    return (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _verified(pairs: NDArray[np.uint64], rows: Indices, shelf: Shelf) -> NDArray[np.uint64]:
    """Keep the pairs whose texts are alike indeed."""
    pairs = pairs[np.argsort(rows[_rights(pairs)], kind="stable")]
    return pairs[similarities(rows[_lefts(pairs)], rows[_rights(pairs)], shelf, shelf, whole=True) >= SIMILARITY]


def _joined(labels: Indices, pairs: NDArray[np.uint64]) -> Indices:
    """Give all that hang together by pairs one label, the least of them."""
    left, right = _lefts(pairs), _rights(pairs)
    while True:
        before = labels
        labels = labels.copy()
        least = np.minimum(before[left], before[right])
        for side in (left, right):
            np.minimum.at(labels, before[side], least)
            np.minimum.at(labels, side, least)
        labels = labels[labels]
        if np.array_equal(before, labels):
            return labels
