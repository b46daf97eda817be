"""owner.json: which supervisor carries a run. Held under a lock that the kernel takes away from the dead."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pegbox_methods.events import UNDECODABLE
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder

RECORD_BYTES = 1024
"""At least as long, so that a record is replaced by one write in place, which needs no more room on a full disk."""
LONGEST_BYTES = 2**20
SETTLING_SECONDS = 0.3
"""Where there are no locks: who finds another's record after that time has lost a race of two."""
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
HELD = {errno.EWOULDBLOCK, errno.EACCES}


class OwnerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Who carries a run, and the worker that it has."""

    host: str
    """Machine on which both live."""
    pid: int
    process_mark: str
    """What tells the supervisor from a later process of the same id."""
    worker_pid: int | None = None
    worker_mark: str | None = None
    waiting: tuple[str, ...] = ()
    """Folders of the runs that the same supervisor carries next, for whoever takes its place."""

    @property
    def elsewhere(self) -> bool:
        """Whether it names another machine, of whose processes nothing can be known here."""
        return self.host != socket.gethostname()

    @property
    def lives(self) -> bool:
        """Whether the supervisor runs, on this machine."""
        return not self.elsewhere and process_mark(self.pid) == self.process_mark

    @property
    def worker_lives(self) -> bool:
        """Whether the worker runs, on this machine."""
        known = self.worker_pid is not None and bool(self.worker_mark)
        return known and not self.elsewhere and process_mark(self.worker_pid or 0) == self.worker_mark


def read_owner(folder: RunFolder) -> OwnerRecord | None:
    """Read who carries a run, or did when it died; None if the record isn't there or isn't whole."""
    try:
        return _decoded(folder.owner.read_bytes())
    except OSError:
        return None


class Ownership:
    """One run, owned by this process until it releases it or dies."""

    def __init__(self, path: Path, descriptor: int, record: OwnerRecord, former: OwnerRecord | None) -> None:
        self._path = path
        self._descriptor = descriptor
        self._record = record
        self.former = former
        """The owner before, who is dead."""

    @classmethod
    def take(cls, folder: RunFolder) -> Ownership:
        """Become a run's owner, which only one process can.

        Raises: Refusal: another is, or the record can't be written.
        """
        try:
            descriptor, locks = _locked(folder)
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            before = os.pread(descriptor, LONGEST_BYTES, 0)
            former = _decoded(before)
            if former is not None and (former.elsewhere or former.lives):
                raise owned_already(folder, former)
            pid = os.getpid()
            mine = OwnerRecord(host=socket.gethostname(), pid=pid, process_mark=process_mark(pid) or "")
            try:
                _write(descriptor, mine)
            except OSError as error:
                _put_back(descriptor, before)
                raise _unwritable(folder, error) from error
            if not locks:
                _settle(folder, mine)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(folder.owner, descriptor, mine, former)

    def tell_worker(self, pid: int, mark: str | None) -> None:
        """Record the worker, on the disk, before it gets the run.

        Raises: OSError.
        """
        self._record = msgspec.structs.replace(self._record, worker_pid=pid, worker_mark=mark)
        _write(self._descriptor, self._record)

    def tell_waiting(self, folders: Iterable[RunFolder]) -> None:
        """Record which runs come behind this one. A full disk is no reason to stop anything."""
        waiting = tuple(str(folder.path) for folder in folders)
        if waiting != self._record.waiting:
            self._record = msgspec.structs.replace(self._record, waiting=waiting)
            with contextlib.suppress(OSError):
                _write(self._descriptor, self._record)

    def release(self) -> None:
        """Own it no more. The file goes while the lock is still held; who waits for that file sees that it is gone."""
        with contextlib.suppress(OSError):  # a read-only file system keeps it; it names an owner that ends now
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def owned_already(folder: RunFolder, owner: OwnerRecord | None) -> Refusal:
    """Say who carries a run, and what to do about it."""
    if owner is None:
        return Refusal(f"another supervisor is just taking {folder.id}. `pegbox watch {folder.id}` shows it.")
    host = one_line(owner.host, 80)
    if owner.elsewhere:
        return Refusal(
            f"{folder.id} is carried by process {owner.pid} on {host}, and whether that lives can't be seen from here. "
            f"Stop it there, or, if that machine is gone for good, remove {folder.owner.name} in the run's folder."
        )
    return Refusal(
        f"{folder.id} is running already: process {owner.pid} on {host} carries it. "
        f"`pegbox watch {folder.id}` shows it, `pegbox stop {folder.id}` ends it."
    )


def _locked(folder: RunFolder) -> tuple[int, bool]:
    """Open the record and lock it. Returns: the descriptor, and whether this file system has locks.

    Raises: OSError. Refusal: another process holds it.
    """
    while True:
        descriptor = os.open(folder.owner, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        locks = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                record = _decoded(os.pread(descriptor, LONGEST_BYTES, 0))
                os.close(descriptor)
                if error.errno in HELD:
                    raise owned_already(folder, record) from None
                raise
            locks = False
        if _is_at(descriptor, folder.owner):
            return descriptor, locks
        os.close(descriptor)  # its owner released it, and removed the file, between the opening and the lock


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _write(descriptor: int, record: OwnerRecord) -> None:
    longest = max(RECORD_BYTES, os.fstat(descriptor).st_size)
    line = msgspec.json.encode(record).ljust(longest - 1) + b"\n"
    if os.pwrite(descriptor, line, 0) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(descriptor)


def _put_back(descriptor: int, before: bytes) -> None:
    """Leave no record of an owner that isn't one."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, len(before))
        os.pwrite(descriptor, before, 0)


def _settle(folder: RunFolder, mine: OwnerRecord) -> None:
    time.sleep(SETTLING_SECONDS)
    found = read_owner(folder)
    if found != mine:
        raise owned_already(folder, found)


def _decoded(content: bytes) -> OwnerRecord | None:
    try:
        return msgspec.json.decode(content.strip(), type=OwnerRecord)
    except UNDECODABLE:
        return None


def _unwritable(folder: RunFolder, error: OSError) -> Refusal:
    return Refusal(
        f"{folder.owner.name} in the folder of {folder.id} can't be written: {error.strerror}. "
        "Nothing was started; make room, or the place writable, and try again."
    )
