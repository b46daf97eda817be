"""The end of a worker's log: a disk that is full at that moment is asked again for a few seconds."""

from __future__ import annotations

import time

from pegbox_runs.event_log import EventWriter

PATIENCE_SECONDS = 5.0
"""What a run ended with isn't to be lost to a disk that is full for a moment; a viewer waits for as long at most."""
AGAIN_SECONDS = 0.25


def write_last(writer: EventWriter, patience_seconds: float = PATIENCE_SECONDS) -> bool:
    """Close a worker's log once all is written, or once that was tried for long enough. Returns: whether all is."""
    until = time.monotonic() + patience_seconds
    while not (written := writer.flush()) and time.monotonic() < until:
        time.sleep(AGAIN_SECONDS)
    writer.close()
    return written
