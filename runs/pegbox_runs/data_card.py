"""A file of rows in figures, for the advice: tokens are counted with the model's own tokenizer, in about a second."""

from __future__ import annotations

import random
from pathlib import Path

from pegbox_methods.advice.data_card import DataCard
from pegbox_runs.light_tokenizer import RENDERING_SECONDS
from pegbox_runs.models import FoundModel
from pegbox_runs.rows.files import read_rows
from pegbox_runs.rows.formats import read_examples
from pegbox_runs.rows.lengths import at_lengths, counted_rows, percentiles

SAMPLE = 1000
"""Rows whose tokens are counted at most; a share of theirs is known within about 3 %."""


def data_card(path: Path, model: FoundModel, *, sample: int = SAMPLE) -> DataCard:
    """Read a file of rows and describe it.

    Raises: Refusal: the file can't be read, or rows don't fit its format.
    """
    name, examples = read_examples(str(path), read_rows(path), "auto")
    chosen = examples
    if len(examples) > sample:
        chosen = random.Random(0).sample(examples, sample)  # noqa: S311 - the same card for the same file
    counted = counted_rows(chosen, model.folder, RENDERING_SECONDS)
    counted_with = counted.counted_with
    if len(chosen) < len(examples):
        counted_with += f", on {len(chosen)} of {len(examples)} rows drawn by chance"
    total = sum(counted.lengths)
    return DataCard(
        file=str(path),
        format=name,
        rows=len(examples),
        rows_counted=len(chosen),
        percentiles=percentiles(counted.lengths),
        mean_tokens=total / len(chosen),
        trained_share=counted.trained / max(total, 1),
        lengths=at_lengths(counted),
        counted_with=counted_with,
        estimate=counted.estimate,
    )
