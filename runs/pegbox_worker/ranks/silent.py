"""The log of a process that doesn't lead: it has none, so that no line is there twice."""

from __future__ import annotations

from pegbox_methods.events import Event
from pegbox_runs.event_log import EventWriter


class SilentWriter(EventWriter):
    """Takes events as the leading process' writer does, and keeps none."""

    def __init__(self) -> None:
        """Open nothing."""

    def emit(self, event: Event) -> None:
        """Forget it."""

    def flush(self) -> bool:
        """Say that nothing is held."""
        return True

    def close(self) -> None:
        """Do nothing."""
