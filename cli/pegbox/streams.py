"""Standard output and error made fit to write to, whatever the surroundings left of them."""

from __future__ import annotations

import contextlib
import io
import os
import sys

OUTPUT, ERROR = 1, 2
"""Their file descriptors."""


def make_ready() -> None:
    """Let no letter be unprintable, and no stream be missing.

    A letter that the encoding lacks, as under LC_ALL=C, shows as its number. A closed standard output is like one whose
    reader went away: whoever writes there ends with exit code 1. What a closed standard error is told is lost.
    """
    if sys.stdout is None:
        _close_reader(OUTPUT)
        sys.stdout = open(OUTPUT, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        _place(os.open(os.devnull, os.O_WRONLY), ERROR)
        sys.stderr = open(ERROR, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _close_reader(descriptor: int) -> None:
    """Put a pipe that nobody reads in a closed descriptor's place; else the next file that is opened would get it."""
    reader, writer = os.pipe()
    _place(writer, descriptor)
    if reader != descriptor:  # else it was closed by taking its place
        with contextlib.suppress(OSError):
            os.close(reader)


def _place(source: int, descriptor: int) -> None:
    if source == descriptor:
        return
    os.dup2(source, descriptor, inheritable=False)
    os.close(source)
