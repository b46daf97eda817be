"""One look at a source: its survey, and which rows each finding concerns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce

import numpy as np

from pegbox_methods.recipe import RowSource, Split
from pegbox_runs.rows.doctor.between_rows import Doubles, Leaks
from pegbox_runs.rows.doctor.findings import (
    conflict_findings,
    conflicting,
    far_longer,
    length_findings,
    rejected_rows,
    row_findings,
    rows_by_check,
)
from pegbox_runs.rows.doctor.row_checks import ROW_CHECKS
from pegbox_runs.rows.doctor.similarity import Indices, Shelf
from pegbox_runs.rows.report import RowFinding
from pegbox_runs.rows.source import find_source
from pegbox_runs.rows.survey.survey import Survey
from pegbox_runs.rows.survey.surveying import processes_for, survey
from pegbox_runs.rows.survey.workforce import workforce

LEFT_OUT = tuple(check.name for check in ROW_CHECKS if check.fix == "leaves out")
MENDED = tuple(check.name for check in ROW_CHECKS if check.fix == "mends")
FIXABLE = ("rejected-rows", *LEFT_OUT, "leaks", "exact-duplicates", "near-duplicates", *MENDED)
"""Names of the findings that `fix` treats, in the order in which a row's first reason is told."""


@dataclass(frozen=True)
class Looked:
    """What was found in a source."""

    survey: Survey
    held_out: Survey | None
    found: dict[str, Indices]
    """By a finding's name: its rows, as indices into the survey's arrays."""
    doubles: Doubles
    leaks: Leaks | None

    def findings(self) -> Iterator[RowFinding]:
        """Tell of everything, in no order."""
        yield from rejected_rows(self.survey)
        yield from row_findings(self.survey, self.found)
        yield from length_findings(self.survey, self.found["outliers"])
        yield from conflict_findings(self.survey, self.found["several-answers"])
        yield from self.doubles.findings(self.survey)
        if self.leaks is not None:
            yield from self.leaks.findings(self.survey)


def look_at(
    asked: RowSource,
    held_out: RowSource | None,
    split: Split,
    *,
    balance: str | None = None,
    processes: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Looked:
    """Survey a source and compare its rows, with each other and with those for evaluation.

    Raises: Refusal: a source can't be read.
    """
    others = None
    if held_out is not None:
        others = survey(find_source(held_out), asked=held_out, checks=True, processes=processes)
    found = survey(
        find_source(asked),
        asked=asked,
        by=split.by,
        stratify=split.stratify,
        balance=balance,
        checks=True,
        processes=processes,
        progress=progress,
    )
    with ExitStack() as opened:
        shelf = _shelf(found, processes, opened)
        leaks = None if others is None else Leaks(shelf, _shelf(others, processes, opened))
        rows = rows_by_check(found) | {"outliers": far_longer(found), "several-answers": conflicting(found)}
        if leaks is not None:
            rows |= {"leaks": leaks.rows, "asked-in-evaluation": leaks.asked}
        none = np.zeros(0, dtype=np.int64)
        doubles = Doubles(shelf, reduce(np.union1d, (rows.get(name, none) for name in (*LEFT_OUT, "leaks")), none))
    rows |= {"exact-duplicates": doubles.equal.rows, "near-duplicates": doubles.alike.rows}
    return Looked(found, others, rows, doubles, leaks)


def _shelf(found: Survey, processes: int | None, opened: ExitStack) -> Shelf:
    count = processes_for(found.source, len(found.parts)) if processes is None else processes
    return Shelf(found, opened.enter_context(workforce(found.plan, count)))
