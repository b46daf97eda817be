"""Names, settings and times as a report writes them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from pegbox_runs.reporting import digits

_NAMED = 5


def listed(names: Sequence[str], most: int = _NAMED) -> str:
    """Write `a, b and c`; of many, the first ones and how many more there are."""
    if len(names) > most + 1:
        names = [*names[:most], f"{len(names) - most} others"]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}"


def short(place: str) -> str:
    """Leave out the folders of a path: a report is for others too. A Hub id stays as it is."""
    return os.path.basename(place.rstrip("/")) or place if is_place(place) else place  # noqa: PTH119


def is_place(name: str) -> bool:
    """Tell a path from a name of the Hub or the catalogue."""
    return name.startswith(("/", "~", "."))


def setting(value: object) -> str:
    """Write a setting's value as a recipe does."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(setting(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def date(seconds: float) -> str:
    """Write a time as a date in UTC; a dash for what is none."""
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
    except (OverflowError, OSError, ValueError):
        return digits.NO_FIGURE
