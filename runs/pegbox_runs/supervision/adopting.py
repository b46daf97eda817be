"""Giving a supervisor to a worker that lost its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import IO, cast

from pegbox_runs.arena.comparison_folder import comparison_of
from pegbox_runs.event_log import EventReader
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, catch_up
from pegbox_runs.supervision.owner import read_owner
from pegbox_runs.supervision.starting import director_command, start_supervisor, supervisor_command


def adopt(folder: RunFolder) -> bool:
    """Start a supervisor for a run that has none, in a session of its own, unless one lives already.

    It watches the worker that the log or owner.json names; if that is gone, it does what the old one would have done.
    May be called again and again, and by several processes: one supervisor wins the run, the others end.
    For an entry of a comparison, that is the comparison's director, which carries all the others on as well; none is
    started where both entry and comparison have come to their end.
    Returns: whether one was started.
    Raises: OSError: no process can be started.
    """
    comparison = comparison_of(folder)
    carried = folder if comparison is None else comparison
    owner = read_owner(carried)
    if owner is not None and (owner.elsewhere or owner.lives):
        return False
    if comparison is not None and _is_over(folder) and _is_over(comparison):
        return False
    command = supervisor_command("--adopt") if comparison is None else director_command("--adopt")
    process = start_supervisor(command, receipts=subprocess.DEVNULL)
    with contextlib.suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as pipe:
        pipe.write(os.fsencode(carried.path.absolute()) + b"\n")
    return True


def _is_over(folder: RunFolder) -> bool:
    return catch_up(EventReader(folder.events), RunState()).over
