"""Which rows are held out: by their content, so that order, machine and duplicates don't matter.

Rows that must stay together (equal ones, those of one group) are a unit. Units are ranked by a seeded hash, and those
of the lowest ranks are held out until the share is met as closely as units allow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
"""One 64-bit hash a row: of its content, of its group, or of its stratum."""


def held_out_rows(
    keys: Hashes, share: float, seed: int, *, groups: Hashes | None = None, strata: Hashes | None = None
) -> NDArray[np.bool_]:
    """Choose the rows that are held out.

    `keys`: equal rows have equal ones. `groups`: rows of one group fall on the same side, and so do groups that have
    a row in common. `strata`: of each, the same share is held out; a stratum of one unit is trained.

    Returns: one bool a row, True for held out. At least one unit is, if the share is above 0 and there are two.
    """
    chosen = np.zeros(len(keys), dtype=bool)
    if not share or not len(keys):
        return chosen
    unit_hashes, unit_of_row = np.unique(keys if groups is None else _joined(keys, groups), return_inverse=True)
    ranks = seeded(unit_hashes, seed)
    rows_in_unit = np.bincount(unit_of_row)
    if strata is None:
        return _lowest(ranks, rows_in_unit, share, forced=True)[unit_of_row]
    stratum_of_unit = np.full(len(unit_hashes), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(stratum_of_unit, unit_of_row, strata)  # equal rows of several strata belong to one of them
    held = np.zeros(len(unit_hashes), dtype=bool)
    for stratum in np.unique(stratum_of_unit):
        members = np.flatnonzero(stratum_of_unit == stratum)
        held[members] = _lowest(ranks[members], rows_in_unit[members], share, forced=False)
    if not held.any():
        held = _lowest(ranks, rows_in_unit, share, forced=True)
    return held[unit_of_row]


def seeded(hashes: Hashes, seed: int) -> Hashes:
    """Give each hash another one that depends on the seed, and nobody can tell from chance.

    Source: the finalizer of SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2714064.2660195), taken twice.
    """
    return _finalized(hashes ^ _finalized(np.array([seed], dtype=np.uint64)))


def _finalized(words: Hashes) -> Hashes:
    words = words + np.uint64(0x9E3779B97F4A7C15)  # unsigned arithmetic wraps around, as it should here
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _lowest(ranks: Hashes, rows_in_unit: NDArray[np.int64], share: float, *, forced: bool) -> NDArray[np.bool_]:
    """Choose units, those of low ranks first, until their rows come closest to the share; never all of them.

    A unit that alone is larger than the share would go too far, so it is passed over. `forced`: at least one unit is
    chosen, if there are two; if all are too large, a smallest one.
    """
    wanted = share * rows_in_unit.sum()
    small = np.flatnonzero(rows_in_unit <= max(wanted, 1))
    if not len(small) and forced:
        small = np.flatnonzero(rows_in_unit == rows_in_unit.min())
    held = np.zeros(len(ranks), dtype=bool)
    if not len(small) or len(ranks) < 2:
        return held
    order = small[np.argsort(ranks[small], kind="stable")]
    reached = np.concatenate([[0], np.cumsum(rows_in_unit[order])])[: len(ranks)]  # never all units
    count = int(np.argmin(np.abs(reached - wanted)))
    held[order[: max(1, count) if forced else count]] = True
    return held


def _joined(keys: Hashes, groups: Hashes) -> Hashes:
    """Label rows so that those of one group, and those that are equal, directly or through others, have one label.

    The label is the least group hash among them, whatever the order of the rows.
    """
    _, key_of_row = np.unique(keys, return_inverse=True)
    _, group_of_row = np.unique(groups, return_inverse=True)
    labels = groups.copy()
    while True:
        before = labels
        for member in (key_of_row, group_of_row):
            least = np.full(member.max() + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
            np.minimum.at(least, member, labels)
            labels = least[member]
        if np.array_equal(before, labels):
            return labels
