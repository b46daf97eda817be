"""The formats that rows come in, recognised by looking, each turned into the same few kinds of example."""

from __future__ import annotations

from pegbox_runs.rows.formats.evidence import ACCEPTED
from pegbox_runs.rows.formats.reading import Read, reader
from pegbox_runs.rows.formats.sampling import SAMPLE, understand
from pegbox_runs.rows.formats.understanding import PREFERENCE, UNKNOWN, Understanding, Unfit
from pegbox_runs.rows.formats.writing import row_of

__all__ = [
    "ACCEPTED",
    "PREFERENCE",
    "SAMPLE",
    "UNKNOWN",
    "Read",
    "Understanding",
    "Unfit",
    "reader",
    "row_of",
    "understand",
]
