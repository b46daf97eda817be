"""A run's commands as its supervisor sees them: it answers those for which there is no worker."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable
from pathlib import Path

from pegbox_runs.commands import Command, CommandReader

ABORT_SECONDS = 5.0
"""How long a worker has to obey an abort; then it is killed."""


class Mailbox:
    """Every command that was seen and, as far as this process knows, not answered."""

    def __init__(self, path: Path, answered: Iterable[str] = ()) -> None:
        """Pass over the ids in `answered`: an abort that was obeyed must not end a later worker."""
        self._reader = CommandReader(path, answered)
        self._open: dict[str, Command] = {}
        self._abort_deadline: float | None = None

    def look(self) -> None:
        """Read what came since the last time."""
        for command in self._reader.new():
            self._open[command.id] = command
            if command.command == "abort" and self._abort_deadline is None:
                self._abort_deadline = time.monotonic() + ABORT_SECONDS

    @property
    def abort_is_due(self) -> bool:
        """Whether a worker that still lives has had its time to abort."""
        return self._abort_deadline is not None and time.monotonic() >= self._abort_deadline

    def unanswered(self, answered: Container[str]) -> list[Command]:
        """Give what nobody has answered, oldest first; `answered` holds the ids that somebody has."""
        self.look()
        self._open = {id_: command for id_, command in self._open.items() if id_ not in answered}
        return list(self._open.values())

    def close(self, command: Command) -> None:
        """Take one that has been answered here out of it."""
        self._open.pop(command.id, None)

    def forget_aborts(self) -> None:
        """Begin the time anew with the next abort, for a worker that has been started since."""
        self._abort_deadline = None
