"""Small files that are on the disk whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside, force it to the disk, and rename it; only its owner may read it.

    Whoever reads it, and whoever looks after a power cut, sees the old content or the new. The folder must exist.
    Raises: OSError: it can't be written; what was there still is, and nothing is left beside it.
    """
    handle, aside = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)  # 0600, as tempfile makes them
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    with suppress(OSError):  # the file is there already; some file systems don't force folders
        _force_folder(path.parent)


def _force_folder(folder: Path) -> None:
    """Put a folder's names on the disk: a file that was forced may still be under its old name."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
