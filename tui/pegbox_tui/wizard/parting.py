"""What the wizard leaves behind on the terminal."""

from __future__ import annotations

from typing import NamedTuple


class Parting(NamedTuple):
    """What is left to say on the terminal once the wizard is gone."""

    lines: tuple[str, ...] = ()
