"""Whether a person is there to look."""

from __future__ import annotations

import sys
from typing import TextIO


def is_terminal() -> bool:
    """Tell whether a person sits at both ends; a closed stream is None."""
    return _are_terminals(sys.stdin, sys.stdout)


def can_draw() -> bool:
    """Tell whether a screen would be seen: Textual draws it on standard error."""
    return _are_terminals(sys.stdin, sys.stdout, sys.stderr)


def _are_terminals(*streams: TextIO | None) -> bool:
    return all(stream is not None and stream.isatty() for stream in streams)
