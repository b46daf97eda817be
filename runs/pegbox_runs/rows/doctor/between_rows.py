"""Rows that are too much like others: of the same source, or of the one for evaluation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pegbox_runs.printable import printable
from pegbox_runs.rows.doctor.duplicates import Repeats, alike_in, alike_rows, equal_rows
from pegbox_runs.rows.doctor.findings import finding, showable
from pegbox_runs.rows.doctor.similarity import Indices, Shelf
from pegbox_runs.rows.example import Example
from pegbox_runs.rows.report import RowFinding
from pegbox_runs.rows.survey.shingles import SIMILARITY, WORDS, chance_of_finding
from pegbox_runs.rows.survey.survey import Survey

LIKENESS = (
    f"{100 * SIMILARITY:.0f} % of all runs of {WORDS} words are the same in both (Jaccard similarity); such a pair is "
    f"found with a probability of {100 * chance_of_finding(SIMILARITY):.0f} %, and nearly surely if it is more alike"
)
LEE = "Lee et al. 2022, arXiv:2107.06499"


class Doubles:
    """Which rows repeat others of their source."""

    def __init__(self, shelf: Shelf, leaving: Indices) -> None:
        """Compare the rows; those that leave for another reason aren't looked at for near duplicates."""
        self.equal = equal_rows(shelf.survey)
        staying = np.ones(len(shelf.survey), dtype=bool)
        staying[self.equal.rows] = False
        staying[leaving] = False
        self.alike = alike_rows(shelf, staying)

    def findings(self, survey: Survey) -> Iterator[RowFinding]:
        """Tell of equal rows and of near duplicates."""
        yield from finding(
            survey,
            self.equal.rows,
            lambda index, example: _like(survey, first_of(self.equal, index), "the same as", example),
            name="exact-duplicates",
            title="exact duplicates",
            level="yellow",
            text="Rows with the same content as an earlier one weigh more than once, and are soon known by heart.",
            todo="Leave all but the first out; set a weight where repetition is meant.",
            fix="leaves out",
            source=f"{LEE}: models trained without duplicates repeat ten times less by heart",
        )
        yield from finding(
            survey,
            self.alike.rows,
            lambda index, example: _like(survey, first_of(self.alike, index), "much like", example),
            name="near-duplicates",
            title="near duplicates",
            level="yellow",
            text="Rows that differ in a few words from an earlier one teach little more than that one.",
            todo="Leave all but the first out; keep them if they come from one template and differ where it matters.",
            fix="leaves out",
            source=f"{LIKENESS}. System prompts and tools count too. {LEE}, take the same threshold",
        )


class Leaks:
    """Which rows are known to the evaluation."""

    def __init__(self, shelf: Shelf, others: Shelf) -> None:
        survey, theirs = shelf.survey, others.survey
        self.others = theirs
        distinct, other_distinct = (
            _distinct(survey, repeats := equal_rows(survey)),
            _distinct(theirs, equal_rows(theirs)),
        )
        match = np.full(len(survey), -1, dtype=np.int64)
        match[distinct] = _equal_in(survey, distinct, theirs, other_distinct)
        exact = match >= 0
        left = distinct[match[distinct] < 0]
        match[left] = alike_in(shelf, left, others, other_distinct)
        match[repeats.rows], exact[repeats.rows] = match[repeats.first], exact[repeats.first]
        self.exact = np.flatnonzero(exact)
        self.rows = np.flatnonzero(match >= 0)
        self.match = match[self.rows]
        same = np.isin(survey.checks.asked, theirs.checks.asked[theirs.checks.asked > 0])
        self.asked = np.flatnonzero(same & (match < 0))

    def findings(self, survey: Survey) -> Iterator[RowFinding]:
        """Tell of rows that are in both sources."""
        near = len(self.rows) - len(self.exact)
        yield from finding(
            survey,
            self.rows,
            lambda index, example: _like(self.others, self._match_of(index), "in the evaluation as", example),
            name="leaks",
            title="rows that are also in the evaluation",
            level="yellow",
            text=f"{len(self.exact):,} of them are the same there, {near:,} much like one; the evaluation would look "
            "better than the model is.",
            todo="Leave them out of the training.",
            fix="leaves out",
            source=LIKENESS,
        )
        yield from finding(
            survey,
            self.asked,
            lambda _, example: showable(example).asked,
            name="asked-in-evaluation",
            title="questions that are also in the evaluation",
            level="yellow",
            text="The same is asked there, with another answer; what is learned here counts there.",
            todo="Hold such rows out together: set split.by, or leave them out of the training.",
        )

    def _match_of(self, index: int) -> int:
        return int(self.match[np.searchsorted(self.rows, index)])


def first_of(repeats: Repeats, index: int) -> int:
    """Give the row that one of them repeats."""
    return int(repeats.first[np.searchsorted(repeats.rows, index)])


def _distinct(survey: Survey, repeats: Repeats) -> Indices:
    staying = np.ones(len(survey), dtype=bool)
    staying[repeats.rows] = False
    return np.flatnonzero(staying)


def _equal_in(survey: Survey, rows: Indices, others: Survey, other_rows: Indices) -> Indices:
    """Give for each row the one of the other source with the same content, or -1; all rows are distinct."""
    keys = np.concatenate([others.key[other_rows], survey.key[rows]])
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: the other's row comes first
    same = np.flatnonzero((keys[order][1:] == keys[order][:-1]).all(axis=1))
    match = np.full(len(rows), -1, dtype=np.int64)
    match[order[same + 1] - len(other_rows)] = other_rows[order[same]]
    return match


def _like(survey: Survey, other: int, word: str, example: Example) -> str:
    return f"{word} {printable(str(survey.place(other)))}: {showable(example).body}"
