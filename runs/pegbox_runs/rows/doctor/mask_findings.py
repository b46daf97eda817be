"""What would stop a run before its first step, or ought to: seen in the rows' tokens, cut as the run would cut them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pegbox_runs.rows.doctor.findings import Show, finding
from pegbox_runs.rows.doctor.similarity import Indices
from pegbox_runs.rows.lengths import CountedRows, RowTokens
from pegbox_runs.rows.mask_faults import LEAST_TRAINED, MOST_WITHOUT_END
from pegbox_runs.rows.report import RowFinding
from pegbox_runs.rows.survey.survey import Survey

FEW_WITHOUT_END = 0.01
"""Share of the rows from which on it is worth a look that they teach no end."""


Found = tuple[RowFinding, Indices]
"""A finding, and all its rows."""


def mask_findings(survey: Survey, indices: list[int], counted: CountedRows, length: int) -> Iterator[Found]:
    """Judge the rows of some indices, counted in tokens, at a limit on the length."""
    if counted.estimate is not None:
        yield from _refused(survey, indices, counted)
        return
    rows = dict(zip(indices, counted.rows, strict=True))
    sampled = "" if len(rows) == len(survey) else f" Looked for in {len(rows):,} rows drawn by chance."
    cut = f" within {length:,} tokens"
    untrained = [index for index, row in rows.items() if not row.kept(length)]
    yield from _found(
        survey,
        np.array(untrained, dtype=np.int64),
        lambda index, _: f"{rows[index].length:,} tokens, and none of the first {length:,} is an answer's",
        name="untrained-rows",
        title="rows of which nothing is trained",
        level="red",
        text=f"No token of an answer is left{cut}; a run stops before its first step.{sampled}",
        todo='Raise training.length, mend them, or leave them out with rows.allow = ["untrained-rows"].',
    )
    yield from _rewritten(survey, rows, sampled)
    training = {index: row for index, row in rows.items() if row.kept(length)}
    yield from _little(survey, training, length, sampled)
    yield from _endless(survey, training, length, sampled)


def _refused(survey: Survey, indices: list[int], counted: CountedRows) -> Iterator[Found]:
    """Tell of the row at which the chat template gave up; what lies behind it wasn't looked at."""
    if counted.refused is None:
        return
    yield from _found(
        survey,
        np.array([indices[counted.refused]], dtype=np.int64),
        lambda *_: str(counted.estimate),
        name="not-rendered",
        title="a row that the chat template refuses",
        level="red",
        text="The model couldn't be shown it, so a run stops before its first step; there may be more such rows.",
        todo="Change or remove it, or name another template as model.chat_template.",
    )


def _rewritten(survey: Survey, rows: dict[int, RowTokens], sampled: str) -> Iterator[Found]:
    yield from _found(
        survey,
        np.array([index for index, row in rows.items() if row.rewritten], dtype=np.int64),
        lambda *_: "the template leaves out reasoning, a tool call, or a part of the answer",
        name="answers-left-out",
        title="answers that the chat template doesn't write whole",
        level="yellow",
        text="What it leaves out isn't learned; where that is all of an answer, as a tool call can be, the model "
        f"learns to say nothing.{sampled}",
        todo="Look at one with --row; name a template that writes reasoning and tool calls as model.chat_template.",
    )


def _little(survey: Survey, rows: dict[int, RowTokens], length: int, sampled: str) -> Iterator[Found]:
    tokens = sum(min(row.length, length) for row in rows.values())
    trained = sum(row.kept(length) for row in rows.values())
    if not tokens or trained >= LEAST_TRAINED * tokens:
        return
    yield from _found(
        survey,
        np.array(list(rows), dtype=np.int64),
        lambda index, _: f"{rows[index].kept(length):,} of {min(rows[index].length, length):,} tokens are trained",
        name="few-trained-tokens",
        title="rows that train hardly anything",
        level="red",
        text=f"Of all tokens {100 * trained / tokens:.2g} % are trained, less than {100 * LEAST_TRAINED:g} %; a run "
        f"stops before its first step.{sampled}",
        todo="Look whether the right column is taken as the answer, and whether the template marks it.",
    )


def _endless(survey: Survey, rows: dict[int, RowTokens], length: int, sampled: str) -> Iterator[Found]:
    endless = [index for index, row in rows.items() if row.first_end is None or row.first_end >= length]
    if len(endless) <= FEW_WITHOUT_END * len(rows):
        return
    stops = len(endless) >= MOST_WITHOUT_END * len(rows)
    yield from _found(
        survey,
        np.array(endless, dtype=np.int64),
        lambda index, _: (
            f"its {rows[index].length:,} tokens are cut at {length:,}, before the end of its answer"
            if rows[index].length > length
            else "the template puts no end token behind its answer"
        ),
        name="end-not-learned",
        title="rows of which no end is trained",
        level="red" if stops else "yellow",
        text="From them the model doesn't learn to stop"
        + ("; a run stops before its first step." if stops else ".")
        + sampled,
        todo="Raise training.length if answers are cut, or name a chat template that ends each answer.",
    )


def _found(survey: Survey, indices: Indices, show: Show, **fields: Any) -> Iterator[Found]:
    return ((told, indices) for told in finding(survey, indices, show, **fields))
