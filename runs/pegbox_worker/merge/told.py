"""What a merge says on its way: often enough to be watched, seldom enough to cost nothing."""

from __future__ import annotations

import time

from pegbox_methods.job_events import Progress
from pegbox_worker.jobs.contact import Contact

LEAST_SECONDS = 0.2
"""Between two words about the same part."""


class Teller:
    """Tells the asker how far a part is."""

    def __init__(self, contact: Contact) -> None:
        self._contact = contact
        self._doing = ""
        self._last = 0.0

    def heard(self, doing: str, done: int, of: int) -> None:
        """Hear how far it is, and tell it if it is another part, its end, or a while after the last word."""
        now = time.monotonic()
        if doing != self._doing or done == of or now - self._last >= LEAST_SECONDS:
            self._doing, self._last = doing, now
            self._contact.tell(Progress(doing=doing, done=done, of=of))
