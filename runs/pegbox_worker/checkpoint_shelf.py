"""The folder of a run's checkpoints: new ones appear whole, old ones go only then, and room is seen to before."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from pegbox_runs.checkpoints import (
    ASIDE,
    FORMAT,
    MANIFEST,
    PREFIX,
    Manifest,
    Progress,
    Reason,
    Unfit,
    checkpoint_folders,
    folder_of,
    free_bytes,
    mark,
    sealed,
    superfluous,
    verify,
)
from pegbox_runs.faults import strike

SPARE_BYTES = 2**20
"""Left free beside a checkpoint, for the log and the file system's own tables."""
SPARE_SHARE = 0.02
UNSYNCABLE = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF)
"""What file systems say that can't flush a folder; there is nothing more to do on them."""

Part = Callable[[Path], None]
"""Writes one file or several into the folder it is given."""


class LittleRoom(Exception):
    """The disk hasn't room for a checkpoint."""


class CheckpointShelf:
    """Writes, rotates, and makes room. Only one process may use a place at a time."""

    def __init__(self, place: Path, *, limit: int) -> None:
        """Take the folder, and how many checkpoints may lie in it."""
        self.place = place
        self._limit = limit
        self.newest: int | None = None
        """Step of the newest one known to be whole."""
        self.largest = 0
        """Bytes of the largest one written or read."""
        self._later: dict[int, bool] = {}
        """Whether one of a later step than the newest is whole; looked at once."""

    def clear_leftovers(self) -> None:
        """Remove what a worker that died had begun to write or to delete."""
        for path in self.place.glob(f".{PREFIX}*{ASIDE}"):
            shutil.rmtree(path, ignore_errors=True)

    def write(self, step: int, parts: Iterable[Part], reason: Reason, progress: Progress) -> int:
        """Write a checkpoint whole, or leave nothing of it. Returns: its bytes.

        Raises: OSError and whatever a part raises.
        """
        aside = self._aside(step)
        shutil.rmtree(aside, ignore_errors=True)
        try:
            aside.mkdir(mode=0o700, parents=True)
            for part in parts:
                strike("checkpoint-write", step=step)
                part(aside)
            total = self._seal(aside, step, reason, progress)
            self._publish(aside, step)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        self.newest, self.largest = step, max(self.largest, total)
        return total

    def rotate(self, best: int | None) -> None:
        """Remove what is above the limit; never the newest whole one, never the best."""
        if self.newest is not None:
            self._remove(self._leaving(self._steps(), self.newest, best))

    def make_room(self, step: int, expected: int, best: int | None, *, former: int | None = None) -> None:
        """See that a checkpoint of `expected` bytes fits; what would go after it may go before it.

        `best`: as it will be once this one is there; `former`: as it is, and as it stays if this one comes to nothing.
        Raises: LittleRoom.
        """
        needed = _with_spare(max(expected, self.largest))
        if free_bytes(self.place) >= needed:
            return
        leaving = self._leaving([*self._steps(), step], step, best)
        self._remove(gone for gone in leaving if gone not in (self.newest, best, former))
        free = free_bytes(self.place)
        if free < needed:
            raise LittleRoom(f"it takes {_megabytes(needed)}, and the disk has {_megabytes(free)} left")

    def _leaving(self, steps: list[int], newest: int, best: int | None) -> list[int]:
        """Choose what goes. One of a later step goes only if nobody can go on from it: a worker that doesn't know where
        the run stood must not take away what the run came to."""
        chosen = superfluous(steps, newest=newest, best=best, limit=self._limit)
        return [step for step in chosen if step < newest or not self._is_whole(step)]

    def _is_whole(self, step: int) -> bool:
        if step not in self._later:
            try:
                self._later[step] = verify(folder_of(self.place, step)).step == step
            except Unfit:
                self._later[step] = False
        return self._later[step]

    def _seal(self, aside: Path, step: int, reason: Reason, progress: Progress) -> int:
        """Bring all to the disk, and the manifest after it."""
        files = {}
        for file in sorted(path for path in aside.rglob("*") if path.is_file()):
            strike("checkpoint-fsync", step=step)
            sync_file(file)
            files[file.relative_to(aside).as_posix()] = mark(file)
        for folder in (path for path in aside.rglob("*") if path.is_dir()):
            sync_folder(folder)
        strike("checkpoint-manifest", step=step)
        manifest = Manifest(format=FORMAT, step=step, time=time.time(), reason=reason, progress=progress, files=files)
        (aside / MANIFEST).write_bytes(sealed(manifest))
        sync_file(aside / MANIFEST)
        sync_folder(aside)
        return sum(file.bytes for file in files.values())

    def _publish(self, aside: Path, step: int) -> None:
        """Give it its name. One that lies there is torn, or of a past that was taken anew: it wasn't gone on from."""
        target = folder_of(self.place, step)
        if target.exists():
            self._remove([step])
        strike("checkpoint-rename", step=step)
        aside.rename(target)
        sync_folder(self.place)

    def _steps(self) -> list[int]:
        return [step for step, _ in checkpoint_folders(self.place)]

    def _remove(self, steps: Iterable[int]) -> None:
        """Take a checkpoint's name from it, and only then its files: half of one never lies under a good name."""
        for step in steps:
            path = folder_of(self.place, step)
            leaving = path.with_name(f".{path.name}.gone{ASIDE}")
            shutil.rmtree(leaving, ignore_errors=True)
            with suppress(OSError):  # it is in nobody's way but the disk's
                strike("checkpoint-rotate", step=step)
                path.rename(leaving)
            shutil.rmtree(leaving, ignore_errors=True)

    def _aside(self, step: int) -> Path:
        return self.place / f".{PREFIX}{step}{ASIDE}"


def sync_file(path: Path) -> None:
    """Bring a file's bytes to the disk.

    Raises: OSError: the disk didn't take them.
    """
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk, where the file system can.

    Raises: OSError.
    """
    try:
        _sync(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError as error:
        if error.errno not in UNSYNCABLE:
            raise


def _sync(path: Path, flags: int) -> None:
    number = os.open(path, flags)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _with_spare(needed: int) -> int:
    return needed + int(needed * SPARE_SHARE) + SPARE_BYTES


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
