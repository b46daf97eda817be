"""A file of rows in figures, for the advice: tokens are counted with the model's own tokenizer, in about a second."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.recipe import RowSource
from pegbox_runs.models import FoundModel
from pegbox_runs.rows.lengths import at_lengths, counted_rows, percentiles
from pegbox_runs.rows.masking import RENDERING_SECONDS
from pegbox_runs.rows.rejecting import refuse_rejected
from pegbox_runs.rows.source import find_source
from pegbox_runs.rows.survey.surveying import survey

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
