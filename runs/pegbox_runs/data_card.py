"""A file of rows in figures, for the advice: tokens are counted with the model's own tokenizer, in about a second."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.recipe import RowSource
from pegbox_runs.models import FoundModel
from pegbox_runs.rows.lengths import at_lengths, counted_rows, percentiles
from pegbox_runs.rows.masking import RENDERING_SECONDS
from pegbox_runs.rows.rejecting import refuse_rejected
from pegbox_runs.rows.source import find_source
from pegbox_runs.rows.survey.surveying import survey

if TYPE_CHECKING:
    from pegbox_runs.rows.doctor.examined import Examined

SAMPLE = 1000
"""Rows whose tokens are counted at most; a share of theirs is known within about 3 %."""


def data_card(path: Path, model: FoundModel, *, sample: int = SAMPLE) -> DataCard:
    """Read a file of rows and describe it.

    Raises: Refusal: the file can't be read, or rows don't fit its format.
    """
    asked = RowSource(file=str(path))
    rows = survey(find_source(asked), asked=asked, checks=False)
    refuse_rejected([rows])
    numbers: Sequence[int] = range(len(rows))
    if len(rows) > sample:
        numbers = random.Random(0).sample(numbers, sample)  # noqa: S311 - the same card for the same file
    chosen = [example for _, _, example in rows.rows(numbers)]
    counted = counted_rows(chosen, model.folder, RENDERING_SECONDS)
    counted_with = counted.counted_with
    if len(chosen) < len(rows):
        counted_with += f", on {len(chosen)} of {len(rows)} rows drawn by chance"
    total = sum(counted.lengths)
    return DataCard(
        file=str(path),
        format=rows.understanding.format,
        rows=len(rows),
        rows_counted=len(chosen),
        percentiles=percentiles(counted.lengths),
        mean_tokens=total / len(chosen),
        trained_share=counted.trained / max(total, 1),
        lengths=at_lengths(counted),
        counted_with=counted_with,
        estimate=counted.estimate,
    )


def card_of(examined: Examined) -> DataCard | None:
    """Describe rows that the doctor has examined, without reading them again.

    Of a file with at most SAMPLE rows it equals `data_card`; of a larger one it counts more rows. It tells of the
    examined source alone, up to its limit, and of no other that a recipe mixes in.
    Returns: None: no row is good, or no model was named whose tokens could be counted.
    """
    report, looked = examined.report, examined.looked
    lengths = report.lengths
    if lengths is None or not report.rows:
        return None
    return DataCard(
        file=examined.asked.file,
        format=report.format,
        rows=report.rows,
        rows_counted=lengths.rows_counted,
        percentiles=lengths.percentiles,
        mean_tokens=lengths.tokens / lengths.rows_counted,
        trained_share=lengths.tokens_trained / max(lengths.tokens, 1),
        lengths=lengths.limits,
        counted_with=lengths.counted_with,
        estimate=lengths.estimate,
        held_out=None if looked.held_out is None else len(looked.held_out),
        also_held_out=0 if looked.leaks is None else len(looked.leaks.exact),
    )
