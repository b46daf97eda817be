"""The line between a job and whoever asked for it."""

from __future__ import annotations

import os
import queue
import threading
from dataclasses import dataclass, field

from pegbox_methods.events import Event
from pegbox_runs.event_log import EventWriter


@dataclass(frozen=True)
class Contact:
    """Tells the asker what a job does meanwhile, and hears what it still says."""

    writer: EventWriter
    heard: queue.SimpleQueue[bytes] = field(default_factory=queue.SimpleQueue)
    """Further lines of the asker, without their ends, as they come. There is no end of them: the asker's going away
    ends this process."""

    def tell(self, event: Event) -> None:
        """Say something; the asker may hear it before the job ends."""
        self.writer.emit(event)

    def listen(self) -> None:
        """Hear the asker in a thread of its own, and end this process once the asker is gone, however it went: its end
        of the pipe closes then.
        """
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        read = b""
        while more := os.read(0, 2**16):  # not through sys.stdin, whose lock an ending interpreter couldn't get back
            *lines, read = (read + more).split(b"\n")
            for line in lines:
                self.heard.put(line)
        os._exit(1)
