"""Where an answer goes: JSON to standard output alone, words for people beside it."""

from __future__ import annotations

import sys
from typing import TextIO

import msgspec

from pegbox_runs.printable import printable, printable_json


def answer_json(record: object) -> None:
    """Print one record as a line of JSON on standard output."""
    sys.stdout.buffer.write(printable_json(msgspec.json.encode(record)) + b"\n")
    sys.stdout.buffer.flush()


def stream_for_people(*, json: bool) -> TextIO:
    """Give standard output, or standard error where that belongs to JSON."""
    return sys.stderr if json else sys.stdout


def say(text: str, *, json: bool = False) -> None:
    """Print words for people; what came from outside shows, and never acts on the terminal."""
    print(printable(text), file=stream_for_people(json=json), flush=True)
