"""Each contestant's letter and color: the same in the list, on the curves and in the plane of costs.

Letters tell contestants apart where there are no colors, no Unicode, or more contestants than colors.
"""

from __future__ import annotations

import string
from typing import NamedTuple

from pegbox_runs.arena.watching.watch import Watched

COLORS = ("cyan", "yellow", "green", "magenta", "blue", "red", "bright_cyan", "bright_yellow", "bright_magenta")
"""Names of ANSI's: the terminal's theme decides what they look like."""


class Sign(NamedTuple):
    """How a contestant is marked."""

    letter: str
    color: str


def signs_of(watched: Watched) -> dict[str, Sign]:
    """Give each contestant its sign, by the order in which they were asked for: it stays as places change."""
    names = string.ascii_letters
    return {
        one.name: Sign(names[place % len(names)], COLORS[place % len(COLORS)])
        for place, one in enumerate(watched.contestants)
    }
