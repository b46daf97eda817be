"""Starting a comparison's director, as a run's supervisor is started: where no closed terminal reaches it."""

from __future__ import annotations

import time

from pegbox_runs.arena.asking.fleet import look_again
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.launch import WarmSupervisor
from pegbox_runs.supervision.owner import owned_already, read_owner
from pegbox_runs.supervision.starting import director_command
from pegbox_runs.viewing import state_of

RELEASE_SECONDS = 25.0
"""How long a director that has told the end has to write its last records, let its idle workers end, for which it gives
them `lanes.LEAVING_SECONDS`, and let go of the comparison."""


def start_director(folder: ComparisonFolder) -> None:
    """Start a comparison, or go on with it, in a process that outlives this one, and wait until that has taken it.

    Nothing that is done is done again, whatever happened before; one of several that are started wins.
    Raises: Refusal: another director carries it, or it can't be carried; one that never began is removed then.
    """
    if _is_free(folder):
        with WarmSupervisor(director_command()) as director:
            director.take([folder])


def continue_director(folder: ComparisonFolder) -> str | None:
    """Go on with a comparison that nobody carries; one on a cluster is held against that once more before.

    Returns: what people should know of the cluster. Raises: as `start_director` does.
    """
    grown = look_again(folder).grown
    start_director(folder)
    return grown


def _is_free(folder: ComparisonFolder) -> bool:
    """Let a director that is about to go do so. Returns: False: it saw that there is more to do, and goes on.

    Raises: Refusal: another one lives.
    """
    deadline = time.monotonic() + RELEASE_SECONDS
    leaving = False
    while (owner := read_owner(folder)) is not None and (owner.elsewhere or owner.lives):
        over = state_of(folder).over
        if leaving and not over:
            return False
        if owner.elsewhere or not over or time.monotonic() > deadline:
            raise owned_already(folder, owner)
        leaving = True
        time.sleep(0.05)
    return True
