"""Whether a person is there to look."""

from __future__ import annotations

import sys


def is_terminal() -> bool:
    """Tell whether a person sits at both ends; a closed stream is None."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
