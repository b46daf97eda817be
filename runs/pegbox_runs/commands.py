"""commands.jsonl: what viewers ask of a run, appended by any of them, read by its worker between steps."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pegbox_runs.line_tail import LineTail


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a run."""

    command: str
    """Its name. The worker answers each, and refuses names it doesn't know."""
    id: str
    """Told again in the answer."""
    time: float
    """When it was sent: seconds since 1970 in UTC."""


def send(path: Path, name: str) -> Command:
    """Append a command to a run's commands.jsonl in one write.

    Raises: OSError: the file can't be written.
    """
    command = Command(command=name, id=secrets.token_hex(4), time=time.time())
    line = msgspec.json.encode(command) + b"\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)
    return command


class CommandReader:
    """Gives each command once. A line that isn't a command is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tail = LineTail(path)

    def new(self) -> Iterator[Command]:
        """Give the commands that came since the last call; costs one `stat` when there are none."""
        try:
            if self._path.stat().st_size <= self._tail.offset:
                return
        except FileNotFoundError:
            return
        for chunk in self._tail.new_chunks():
            for line in chunk.splitlines():
                try:
                    yield msgspec.json.decode(line, type=Command)
                except msgspec.MsgspecError:
                    continue
