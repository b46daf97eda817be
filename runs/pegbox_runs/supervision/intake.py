"""The line between a supervisor and whoever started it: runs' folders come in, an answer a run goes out."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from pegbox_runs.run_folder import RunFolder


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, a JSON object a line."""

    run: str
    """The run's id."""
    refused: str | None = None
    """Why it wasn't taken; None: it was, and that is in its log."""


class Intake:
    """Folders from one descriptor, receipts to another. Whoever reads those may be gone long before the runs are."""

    def __init__(self, lines: int = 0, receipts: int = 1) -> None:
        self._lines = lines
        self._receipts = receipts
        self._rest = b""
        self.open = True
        """Whether more may come."""

    @property
    def descriptor(self) -> int | None:
        """What turns readable when a folder comes; None once none will."""
        return self._lines if self.open else None

    def read(self) -> list[RunFolder]:
        """Give the folders that came; to be called when the descriptor is readable."""
        block = os.read(self._lines, 2**16)
        if not block:
            self.open = False
            os.close(self._lines)
        *whole, self._rest = (self._rest + block).split(b"\n")
        return [RunFolder(Path(os.fsdecode(line))) for line in whole]

    def answer(self, folder: RunFolder, refused: str | None = None) -> None:
        """Say whether a run was taken."""
        with contextlib.suppress(OSError):
            os.write(self._receipts, msgspec.json.encode(Receipt(run=folder.id, refused=refused)) + b"\n")
