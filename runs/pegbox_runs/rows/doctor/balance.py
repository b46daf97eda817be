"""How rows spread over the values of a column."""

from __future__ import annotations

import numpy as np

from pegbox_runs.printable import one_line
from pegbox_runs.rows.doctor.secrets import without_secrets
from pegbox_runs.rows.report import Balance, Value
from pegbox_runs.rows.survey.survey import Survey

VALUES = 20
SHOWN_LETTERS = 80


def balance_of(survey: Survey, column: str) -> Balance:
    """Count the values of the column that the survey was asked for. Raises: ValueError: it wasn't."""
    hashes = survey.checks.balance
    if hashes is None:
        raise ValueError("a survey without a column to count")
    present = np.flatnonzero(hashes)
    distinct, first, counts = np.unique(hashes[present], return_index=True, return_counts=True)
    most = np.lexsort((present[first], -counts))[:VALUES]  # of equal counts, the one that comes first
    shown = {index: raw.fields.get(column) for index, raw, _ in survey.rows(present[first[most]])}
    values = tuple(
        Value(
            one_line(without_secrets(str(shown[int(present[first[place]])])[: 4 * SHOWN_LETTERS]), SHOWN_LETTERS),
            int(counts[place]),
            float(counts[place] / len(survey)),
        )
        for place in most
    )
    return Balance(
        column=column,
        values=values,
        others=int(counts.sum() - counts[most].sum()),
        distinct=len(distinct),
        missing=len(survey) - len(present),
    )
