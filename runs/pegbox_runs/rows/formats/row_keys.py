"""What each key of a row is, found once for all rows with the same keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pegbox_runs.rows.formats.names import EXTRAS


class RowKeys(NamedTuple):
    """The key of each column, as the row has it; the empty text: the format has no such column."""

    messages: str = ""
    prompt: str = ""
    completion: str = ""
    text: str = ""
    input: str | None = None
    """From here on, None: the row has no such column."""
    system: str | None = None
    history: str | None = None
    reasoning: str | None = None
    tools: str | None = None
    beside: bool = False
    """Whether there is any of these but the input."""

    @classmethod
    def of(cls, columns: Mapping[str, str]) -> RowKeys:
        """Take a row's columns, by the recipe's names."""
        return cls(**columns, beside=any(column in columns for column in EXTRAS if column != "input"))
