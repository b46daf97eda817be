"""Small files that are on the disk whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What a file system says that has no second names for a file, as sticks and some shares."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside, force it to the disk, and rename it; only its owner may read it.

    Whoever reads it, and whoever looks after a power cut, sees the old content or the new. The folder must exist.
    Raises: OSError: it can't be written; what was there still is, and nothing is left beside it.
    """
    with begun_aside(path) as file:
        file.write(content)
        _force(file)
        Path(file.name).replace(path)
    with suppress(OSError):  # the file is there already; some file systems don't force folders
        _force_folder(path.parent)


def write_new(path: Path, content: bytes) -> None:
    """Write a file as `write_whole` does, where nothing lies.

    Raises: FileExistsError: something does; it stays as it is. OSError.
    """
    with begun_aside(path) as file:
        file.write(content)
        put_new(file, path)


@contextmanager
def begun_aside(path: Path) -> Iterator[IO[bytes]]:
    """Open a hidden file beside a place, which is gone afterwards unless it was given that name. Raises: OSError."""
    with tempfile.NamedTemporaryFile(prefix=".", suffix=".part", dir=path.parent, delete=False) as file:  # 0600
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)


def put_new(file: IO[bytes], path: Path) -> None:
    """Force a file that was begun aside to the disk, and give it its name.

    Raises: FileExistsError: something has that name. OSError.
    """
    _force(file)
    try:
        os.link(file.name, path)  # in place of a renaming, which would overwrite
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        Path(file.name).rename(path)
    with suppress(OSError):
        _force_folder(path.parent)


def _force(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _force_folder(folder: Path) -> None:
    """Put a folder's names on the disk: a file that was forced may still be under its old name."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
