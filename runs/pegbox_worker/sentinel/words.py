"""How checks name what they found."""

from __future__ import annotations

from collections.abc import Sequence

from pegbox_runs.printable import one_line

MOST_NAMES = 3
WIDTH = 120
"""Characters of a name; a model's file may call its tensors anything."""


def named(names: Sequence[str]) -> str:
    """Name a few of many."""
    shown = ", ".join(one_line(name, WIDTH) for name in names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"
