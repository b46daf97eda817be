"""From rows that something is wrong with to a finding: how many, three of them, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pegbox_runs.printable import one_line
from pegbox_runs.rows.doctor.duplicates import repeated
from pegbox_runs.rows.doctor.row_checks import BITS, ROW_CHECKS, RowCheck
from pegbox_runs.rows.doctor.secrets import without_secrets
from pegbox_runs.rows.example import Example
from pegbox_runs.rows.place import Rejected
from pegbox_runs.rows.report import RowFinding, Shown
from pegbox_runs.rows.survey.shingles import MOST_LETTERS
from pegbox_runs.rows.survey.survey import Survey
from pegbox_runs.rows.survey.texts import Texts, texts_of

if TYPE_CHECKING:
    from pegbox_runs.rows.doctor.similarity import Indices

EXAMPLES = 3
SHOWN_LETTERS = 200
MOSTLY = 0.5
"""From this share of one-word answers on they are taken for labels."""
LEAST_ROWS = 20
"""Fewer have no usual length that another could be far from."""
FAR = 3.5
"""Modified z-score. Source: Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers, section 3.2."""
LEAST_SPREAD = 0.25
"""Of the logarithms' median deviation: where all rows are about as long, 3.7 times the median is still usual."""

Show = Callable[[int, Example], str]


def shown(place: str, text: str) -> Shown:
    """Make an example fit to be shown: one line, printable, no secret in it."""
    return Shown(one_line(place, SHOWN_LETTERS), one_line(without_secrets(text[:MOST_LETTERS]), SHOWN_LETTERS))


def showable(example: Example) -> Texts:
    """Give a row's texts with their secrets masked: first of all, as half a secret isn't known for one any more."""
    texts = texts_of(example)
    asked, *answers, reasoning, beside = (without_secrets(text[:MOST_LETTERS]) for text in texts.all)
    return Texts(asked, tuple(answers), beside, texts.answered, reasoning)


def finding(survey: Survey, indices: Indices, show: Show, **fields: Any) -> Iterator[RowFinding]:
    """Tell of rows, if there are any."""
    if not len(indices):
        return
    examples = tuple(
        shown(str(raw.place), show(index, example)) for index, raw, example in survey.rows(indices[:EXAMPLES])
    )
    yield RowFinding(rows=len(indices), share=len(indices) / len(survey), examples=examples, **fields)


def rejected_rows(survey: Survey) -> Iterator[RowFinding]:
    """Tell of rows that can't be taken."""
    if not survey.rejected_count:
        return
    yield RowFinding(
        name="rejected-rows",
        title="rows that can't be read",
        level="red",
        rows=survey.rejected_count,
        share=survey.rejected_count / (survey.rejected_count + len(survey)),
        text="They are broken, or not in the format of the others.",
        examples=tuple(shown(row.where, _why(row)) for row in survey.rejected[:EXAMPLES]),
        todo='Mend them; or leave them out with rows.allow = ["rejected-rows"].',
        fix="leaves out",
    )


def rows_by_check(survey: Survey) -> dict[str, Indices]:
    """Sort the rows by what a check of the table found in them."""
    flags = survey.checks.flags
    return {name: np.flatnonzero(flags & np.uint32(bit)) for name, bit in BITS.items()}


def row_findings(survey: Survey, found: Mapping[str, Indices]) -> Iterator[RowFinding]:
    """Tell of what is wrong with rows by themselves."""
    for check in ROW_CHECKS:
        fields = {
            "name": check.name,
            "title": check.title,
            "level": check.level,
            "text": check.text,
            "todo": check.todo,
            "fix": check.fix,
            "source": check.source,
        }
        if check.name == "one-word-answers" and len(found[check.name]) >= MOSTLY * len(survey):
            fields |= {"level": "green", "text": "Most answers are one word, as labels are.", "todo": "Nothing."}

        def show(_: int, example: Example, check: RowCheck = check) -> str:
            # The check that looks for secrets masks what it finds itself.
            return check.find(texts_of(example) if check.name == "secrets" else showable(example)) or check.title

        yield from finding(survey, found[check.name], show, **fields)


def far_longer(survey: Survey) -> Indices:
    """Find rows far longer than the rest, by the logarithm of their letters."""
    if len(survey) < LEAST_ROWS:
        return np.zeros(0, dtype=np.int64)
    logs = np.log(np.maximum(survey.letters, 1).astype(np.float32))
    median = np.median(logs)
    spread = max(LEAST_SPREAD, float(np.median(np.abs(logs - median))))
    return np.flatnonzero(0.6745 * (logs - median) / spread > FAR)


def length_findings(survey: Survey, far: Indices) -> Iterator[RowFinding]:
    """Tell of rows far longer than the rest."""
    median = int(np.median(survey.letters)) if len(survey) else 0
    yield from finding(
        survey,
        far,
        lambda index, example: f"{survey.letters[index]:,} letters: {showable(example).body}",
        name="outliers",
        title="rows far longer than the rest",
        level="yellow",
        text=f"Half of the rows have up to {median:,} letters; longer ones lose their end, or make all others wait.",
        todo="Look whether two rows grew together; else split them, or choose training.length so that they may be cut.",
        source="modified z-score of the logarithm above 3.5 (Iglewicz and Hoaglin 1993)",
    )


def conflicting(survey: Survey) -> Indices:
    """Find rows that ask the same as another, and answer something else."""
    asked = survey.checks.asked
    rows = repeated(asked)
    rows = rows[asked[rows] > 0]
    if not len(rows):
        return rows
    same_question = asked[rows][1:] == asked[rows][:-1]
    other_row = (survey.key[rows][1:] != survey.key[rows][:-1]).any(axis=1)
    question = np.concatenate([[0], np.cumsum(~same_question)])
    differs = np.zeros(question[-1] + 1, dtype=bool)
    differs[question[1:][same_question & other_row]] = True
    return np.sort(rows[differs[question]])


def conflict_findings(survey: Survey, rows: Indices) -> Iterator[RowFinding]:
    """Tell of questions with several answers."""
    yield from finding(
        survey,
        rows,
        lambda _, example: f"{showable(example).answers[-1][:80]}, to: {showable(example).asked}",
        name="several-answers",
        title="questions with several answers",
        level="green",
        text="The same is asked more than once and answered differently; the model learns a mixture of the answers.",
        todo="Keep them if each answer is right; where they contradict each other, keep one.",
    )


def _why(row: Rejected) -> str:
    keys = f"; its keys are {', '.join(row.keys)}" if row.keys else ""
    return f"{row.reason}{keys}"


def worst_first(found: Iterable[RowFinding]) -> tuple[RowFinding, ...]:
    """Sort findings by level, then by how many rows they concern."""
    levels = ("red", "yellow", "green")
    return tuple(sorted(found, key=lambda one: (levels.index(one.level), -one.rows, one.name)))
