"""Asking a run for something, and waiting for what it says to that."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from pegbox_methods.events import UNDECODABLE, CommandAnswer, Failed, Finished, event_decoder
from pegbox_runs.commands import Command, CommandName, append, held, send
from pegbox_runs.line_tail import LineTail
from pegbox_runs.run_folder import RunFolder

POLL_SECONDS = 0.1
LOOK_AGAIN_SECONDS = 2.0
"""After which a command that nobody answered is looked for, and sent again if another was written over it."""
LAST_WORD_SECONDS = 2.0
"""How long after a run's end an answer may still come."""
TAIL_BYTES = 2**20


def ask(
    folder: RunFolder, name: CommandName, seconds: float, left: threading.Event | None = None
) -> CommandAnswer | None:
    """Send a command and wait for its answer. Returns: None if there was none in that time, or the run ended first.

    Another thread may set `left` to end the waiting.
    Raises: OSError: the command can't be written.
    """
    behind = _end_of_lines(folder.events)
    return await_answer(folder, send(folder.commands, name), seconds, left, behind=behind)


def await_answer(
    folder: RunFolder, command: Command, seconds: float, left: threading.Event | None = None, *, behind: int = 0
) -> CommandAnswer | None:
    """Wait for a command's answer in the log, from byte `behind` on, which begins a line."""
    left = left or threading.Event()
    tail = LineTail(folder.events)
    tail.offset = behind
    deadline = time.monotonic() + seconds
    again = time.monotonic() + LOOK_AGAIN_SECONDS
    ended = False
    while True:
        for chunk in tail.new_chunks():
            for event in _relevant(chunk):
                if isinstance(event, CommandAnswer) and event.id == command.id:
                    return event
                ended = ended or isinstance(event, Finished | Failed)
        now = time.monotonic()
        if ended:
            deadline, ended = min(deadline, now + LAST_WORD_SECONDS), False
        if now >= deadline:
            return None
        if now >= again:
            if not held(folder.commands, command):
                append(folder.commands, command)
            again = now + LOOK_AGAIN_SECONDS
        if left.wait(min(POLL_SECONDS, deadline - now)):
            return None


def _relevant(chunk: bytes) -> list[CommandAnswer | Finished | Failed]:
    """Pick answers and ends without decoding the thousands of steps between them."""
    found: list[CommandAnswer | Finished | Failed] = []
    decoder = event_decoder()
    for line in chunk.split(b"\n"):
        if b'"command-answer"' in line or b'"finished"' in line or b'"failed"' in line:
            try:
                event = decoder.decode(line)
            except UNDECODABLE:
                continue
            if isinstance(event, CommandAnswer | Finished | Failed):
                found.append(event)
    return found


def _end_of_lines(path: Path) -> int:
    """Find where the last whole line ends, so that a long log isn't read from its beginning."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            begin = max(0, size - TAIL_BYTES)
            file.seek(begin)
            return begin + file.read().rfind(b"\n") + 1 if size else 0
    except FileNotFoundError:
        return 0
