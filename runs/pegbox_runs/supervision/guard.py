"""A worker without a supervisor gets itself a new one: somebody must see how it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from pegbox_methods.events import Event, Notice
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder

FIRST_WAIT_SECONDS = 5.0
"""How long a new supervisor has to take the run before another is started; it takes 0.3 s on an idle machine."""
LONGEST_WAIT_SECONDS = 300.0


class SupervisorGuard:
    """Looked at each second: a worker whose parent is another than it was has lost its supervisor.

    Once that is so, owner.json tells whether another one has taken the run.
    """

    def __init__(self, folder: RunFolder, tell: Callable[[Event], None], supervisor_pid: int) -> None:
        self._folder = folder
        self._say = tell
        self._parent = supervisor_pid
        self._orphaned = False
        self._wait_seconds = FIRST_WAIT_SECONDS
        self._not_before = 0.0
        self._told = False

    def look(self) -> None:
        """Start a supervisor if there is none; end the process if its run was removed.

        What goes wrong is told once, and tried again ever more rarely.
        """
        if not self._folder.path.exists():
            os._exit(1)  # somebody removed the run: nobody could ever reach this process
        self._orphaned = self._orphaned or os.getppid() != self._parent
        if not self._orphaned or time.monotonic() < self._not_before:
            return
        from pegbox_runs.supervision.adopting import adopt

        try:
            started = adopt(self._folder)
        except Exception as error:  # noqa: BLE001  # training matters more than being watched
            started = True
            self._tell(error)
        if started:
            self._not_before = time.monotonic() + self._wait_seconds
            self._wait_seconds = min(2 * self._wait_seconds, LONGEST_WAIT_SECONDS)

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            text = (
                f"the run's supervisor is gone, and no other could be started ({one_line(str(error), 200)}); training "
                "goes on, but if the worker dies nobody will start it again. `pegbox resume` would."
            )
            self._say(Notice(text=text, about="no-supervisor"))
