"""Keeps the draft on the disk from a thread of its own: a slow disk must not freeze the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pegbox_runs.draft_hold import DraftHold
from pegbox_runs.drafts import Draft, forget_draft, write_draft


class DraftKeeper:
    """Writes the newest draft it was given; one after the other, so that an older never comes last."""

    def __init__(self, told: Callable[[str], None]) -> None:
        """`told` hears once, from the thread, why a draft can't be kept."""
        self._told = told
        self._newest: Draft | None = None
        self._waiting = False
        self._busy = False
        self._fault = ""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._hold = DraftHold()
        self._elsewhere = ""

    def take(self) -> bool:
        """Take the draft's place on the disk. Returns: False if another window has it: `fault` says so."""
        holder = self._hold.take()
        if holder is not None:
            self._elsewhere = f"The draft of this window isn't kept: {holder} keeps its own. Runs can be started here."
        return holder is None

    def release(self) -> None:
        """Let another window keep its draft from now on."""
        self._hold.release()

    @property
    def fault(self) -> str:
        """Why the newest draft isn't kept; empty: it is, or soon will be."""
        return self._elsewhere or self._fault

    def keep(self, draft: Draft | None) -> None:
        """Have a draft kept; None: have the one on the disk removed. Another window's is left alone."""
        if self._elsewhere:
            return
        with self._changed:
            self._newest = draft
            self._waiting = True
            if self._thread is None:
                # A daemon: a file system that hangs must not hold the person's terminal.
                self._thread = threading.Thread(target=self._work, name="draft", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def settle(self, seconds: float) -> bool:
        """Wait until all is on the disk. Returns: False if that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._waiting or self._busy), seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                draft, self._waiting, self._busy = self._newest, False, True
            fault = _put(draft)
            with self._changed:
                first, self._fault, self._busy = bool(fault and not self._fault), fault, False
                self._changed.notify_all()
            if first:
                self._told(fault)


def _put(draft: Draft | None) -> str:
    """Write or remove the draft. Returns: why that wasn't possible."""
    try:
        if draft is None:
            forget_draft()
        else:
            write_draft(draft)
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        return (
            f"The draft can't be kept ({named}{error.strerror or error}). You can go on; it lives in this window only."
        )
    return ""
