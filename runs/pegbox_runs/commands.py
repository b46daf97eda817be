"""commands.jsonl: what viewers ask of a run, appended by any of them, read by whoever carries it.

It may lie on a network file system, where two machines that append at once may write over each other: so a sender looks
again until it is answered, and a reader takes the whole file, which is small, each time that it changed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec

from pegbox_methods.events import UNDECODABLE, CommandAnswer
from pegbox_runs.printable import one_line

CommandName = Literal["stop", "pause", "pause-release", "resume", "checkpoint", "abort"]
COMMANDS: tuple[str, ...] = get_args(CommandName)
LOCK_SECONDS = 2.0
"""How long a sender waits for the others; a lock that never comes, as from a dead lock server, must not end a wish."""
READ_BYTES = 2**20
"""Newest part of the file that is looked at: ten thousand commands."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a run."""

    command: Annotated[str, msgspec.Meta(max_length=64)]
    """Its name. Each is answered; names that aren't known are refused."""
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    """Told again in the answer."""
    time: float
    """When it was sent: seconds since 1970 in UTC."""
    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Put by until so many steps are done, and heeded behind that very step."""


def send(path: Path, name: str, *, after: int = 0) -> Command:
    """Append a command to a run's commands.jsonl. `after`: the step behind which it is heeded.

    Raises: OSError: the file can't be written.
    """
    command = Command(command=name, id=secrets.token_hex(6), time=time.time(), after=after)
    append(path, command)
    return command


def append(path: Path, command: Command) -> None:
    """Append a command behind whole lines, and see it on the disk.

    Raises: OSError.
    """
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _lock(file)
        size = os.fstat(file).st_size
        torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
        line = (b"\n" if torn else b"") + msgspec.json.encode(command) + b"\n"
        if os.write(file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(file)
    finally:
        os.close(file)  # the lock goes with it


def held(path: Path, command: Command) -> bool:
    """Tell whether a command's line is in the file; another machine's may have been written over it."""
    try:
        return any(found.id == command.id for found in _parsed(path.read_bytes()))
    except OSError:
        return False


class CommandReader:
    """Gives each command once, whatever happens to the file. A line that isn't a command is passed over.

    Only a plain file is obeyed that belongs to the owner of the run's folder and that nobody else can write.
    """

    def __init__(self, path: Path, answered: Iterable[str] = (), distrust: Callable[[str], None] | None = None) -> None:
        """Take also ids that were answered before, and who is told, once, that the file isn't obeyed."""
        self._path = path
        self._given = set(answered)
        self._distrust = distrust
        self._seen = b""
        self._owner: int | None = None

    def new(self) -> list[Command]:
        """Give the commands that came since the last call.

        Costs one opening and reading of a small file. Sizes aren't trusted: network file systems remember them for
        seconds, where opening asks anew.
        """
        content = self._content()
        if content == self._seen:
            return []
        self._seen = content
        new = []
        for command in _parsed(content):
            if command.id not in self._given:
                self._given.add(command.id)
                new.append(command)
        return new

    def _content(self) -> bytes:
        """Read the file; what was read before if that can't be, which gives nothing new."""
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ELOOP:
                self._refuse("it is a link")
            return self._seen
        try:
            why = self._why_not(os.fstat(file))
            if why is not None:
                self._refuse(why)
                return self._seen
            size = os.lseek(file, 0, os.SEEK_END)
            if size == 0:
                return b""
            os.lseek(file, max(0, size - READ_BYTES), os.SEEK_SET)
            return os.read(file, min(size, READ_BYTES))  # a buffer as large as the most there may be costs far more
        except OSError:
            return self._seen
        finally:
            os.close(file)

    def _why_not(self, found: os.stat_result) -> str | None:
        if not stat.S_ISREG(found.st_mode):
            return "it isn't a plain file"
        if self._owner is None:
            self._owner = self._path.parent.stat().st_uid
        if found.st_uid != self._owner:
            return f"it belongs to user {found.st_uid}, not to the owner of the run's folder"
        if found.st_mode & 0o022:
            return f"others can write it too (its mode is {stat.S_IMODE(found.st_mode):04o})"
        return None

    def _refuse(self, why: str) -> None:
        if self._distrust is not None:
            tell, self._distrust = self._distrust, None
            name = self._path.name
            tell(f"{name} in the run's folder isn't obeyed: {why}. Remove it; the next command makes a new one.")


def answer(command: Command, text: str, *, taken: bool) -> CommandAnswer:
    """Make the event that answers a command."""
    return CommandAnswer(
        command=one_line(command.command, 64),
        id=command.id,
        taken=taken,
        text=text,
        latency=max(0.0, time.time() - command.time),
    )


def unknown(command: Command) -> CommandAnswer:
    """Refuse a command whose name isn't known."""
    return answer(
        command, f"unknown command {one_line(command.command, 64)!r}; known: {', '.join(COMMANDS)}", taken=False
    )


def _parsed(content: bytes) -> Iterator[Command]:
    """Read whole lines; what follows the last newline is still being written, or torn."""
    for line in content.split(b"\n")[:-1]:
        try:
            yield msgspec.json.decode(line, type=Command)
        except UNDECODABLE:
            continue


def _lock(file: int) -> None:
    """Keep other senders out. Where the file system has no locks, do without: the line is looked for afterwards."""
    deadline = time.monotonic() + LOCK_SECONDS
    with contextlib.suppress(OSError):
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # POSIX allows EACCES for "held by another"
                if time.monotonic() > deadline:
                    return
                time.sleep(0.02)
            else:
                return
