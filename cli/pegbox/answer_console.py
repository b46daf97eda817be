"""The console that words for people go to, in letters that their terminal has."""

from __future__ import annotations

import sys
from typing import TextIO, cast

from rich.console import Console


def answer_console(*, stderr: bool = False) -> Console:
    """Make one for standard output, or for standard error; with PEGBOX_ASCII it writes ASCII alone."""
    from pegbox_tui.shell.look import Look

    stream = sys.stderr if stderr else sys.stdout
    file = cast(TextIO, _Ascii(stream)) if Look.here().ascii else stream
    return Console(file=file, highlight=False, emoji=False, markup=False)


class _Ascii:
    """A stream that writes ASCII, whatever it is given; the terminal's own sequences are that already."""

    def __init__(self, stream: TextIO) -> None:
        from pegbox_tui.shell.ascii_lines import in_ascii

        self._stream = stream
        self._in_ascii = in_ascii

    def write(self, text: str) -> int:
        """Write a text, letter for letter."""
        return self._stream.write(self._in_ascii(text))

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
