"""What a reader counts on its way."""

from __future__ import annotations


class Tally:
    """How many lines a portion had; whole once the portion was read to its end."""

    lines = 0
