"""The formats that rows come in, recognised by looking, each turned into the same few kinds of example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pegbox_methods.recipe import RowsFormat
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.example import Example
from pegbox_runs.rows.formats.evidence import ACCEPTED
from pegbox_runs.rows.formats.reading import Read, reader
from pegbox_runs.rows.formats.sampling import SAMPLE, understand
from pegbox_runs.rows.formats.understanding import PREFERENCE, UNKNOWN, Understanding, Unfit, keys_of
from pegbox_runs.rows.formats.writing import row_of

__all__ = [
    "ACCEPTED",
    "PREFERENCE",
    "SAMPLE",
    "UNKNOWN",
    "Read",
    "Understanding",
    "Unfit",
    "read_examples",
    "reader",
    "row_of",
    "understand",
]

LISTED = 10


def read_examples(
    file: str, rows: Sequence[tuple[object, Mapping[str, Any]]], wanted: RowsFormat
) -> tuple[str, list[Example]]:
    """Turn rows into examples, all by one format.

    Returns: (name of the format, examples in the rows' order).
    Raises: Refusal: the format isn't known, or rows don't fit it; names the first ten with their keys.
    """
    understanding = understand(rows, wanted, {}, source=file)
    read = reader(understanding)
    examples: list[Example] = []
    unfit: list[str] = []
    for place, row in rows:
        try:
            examples.append(read(row))
        except Unfit as error:
            unfit.append(f"{place}: {error}; its keys are {keys_of(row)}")
    if unfit:
        more = f"\n... and {len(unfit) - LISTED} more" if len(unfit) > LISTED else ""
        raise Refusal(
            f"{file}: {len(unfit)} of {len(rows)} rows don't fit the format '{understanding.format}'. Mend or remove "
            "them:\n" + "\n".join(unfit[:LISTED]) + more
        )
    return understanding.format, examples
