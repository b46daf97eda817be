"""The length at which rows are cut, among a draft's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_runs.drafts import Draft

LENGTH = "training.length"


def taken_length(draft: Draft) -> int | None:
    """Give the length that the person took; None: the advice shall choose."""
    value = draft.values.get(LENGTH)
    return value if isinstance(value, int) else None


def with_length(values: Mapping[str, Any], length: int | None) -> dict[str, Any]:
    """Give a draft's values with a length, or with none."""
    free = {key: value for key, value in values.items() if key != LENGTH}
    return free if length is None else {**free, LENGTH: length}
