"""What was understood of a source's rows, and why a row doesn't fit that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from pegbox_runs.printable import one_line

PREFERENCE = "preference"
"""Two answers to one question, or one answer with a verdict: recognised, and refused."""
UNKNOWN = "unknown"


class Unfit(Exception):
    """A row that its format can't take. The message is a clause that says why; it may hold text from outside."""


class Understanding(msgspec.Struct, frozen=True):
    """How all rows of a source are read. It goes through JSON as it is."""

    format: str
    """A name of the recipe's `rows.format`, without `auto`."""
    evidence: str
    """A clause for people, fit to be printed: `998 of 1,000 rows looked at have "instruction" and "output"`."""
    columns: dict[str, str]
    """From the recipe's names of columns to the file's keys."""
    found: dict[str, int]
    """Formats of the rows looked at, the most frequent first; `preference` and `unknown` may be among them."""
    mapped: tuple[str, ...] = ()
    """Which columns the recipe itself names: no other key is taken for them."""
    left_aside: tuple[str, ...] = ()
    """Keys that are called like a column and hold something else."""


@lru_cache(maxsize=1000)
def quoted(key: str) -> str:
    """Show a key of a row, whatever characters it has."""
    return f'"{one_line(str(key), 60)}"'


def listed(words: Iterable[str]) -> str:
    """Join words for a sentence: `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def keys_of(row: Mapping[str, Any]) -> str:
    """Show a row's keys on one line."""
    return one_line(", ".join(f'"{key}"' for key in row), 200) or "none"
