"""What a worker prints that was started before its run was known: kept aside, and put into that run's log."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import IO


class EarlyOutput:
    """One worker's, or none's."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None

    def open(self) -> IO[bytes]:
        """Give where the worker shall print. Raises: OSError."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed when it is moved
        return self._file

    def move_into(self, log: Path) -> None:
        """Put what was printed behind a log, once; a log that takes no line loses it."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError), file, log.open("ab") as end:
                file.seek(0)
                shutil.copyfileobj(file, end)
