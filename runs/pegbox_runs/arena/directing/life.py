"""How a comparison's director tells its beginning and its end."""

from __future__ import annotations

import os
import socket
from importlib.metadata import version
from typing import Literal

from pegbox_methods.events import Failed, Finished, Phase, Started
from pegbox_methods.recipe_file import portable
from pegbox_runs.arena.entries import Entry
from pegbox_runs.arena.schedule import Outcomes, all_entries_count
from pegbox_runs.arena.spec import Comparison
from pegbox_runs.process_mark import process_mark


def director_started(id_: str, comparison: Comparison, attempt: int) -> Started:
    """Say which process carries the comparison from now on: supervisor and worker in one."""
    pid = os.getpid()
    mark = process_mark(pid) or ""
    return Started(
        run=id_,
        method="comparison",
        model=portable(next(iter(comparison.recipes.values())).model.name),
        host=socket.gethostname(),
        supervisor_pid=pid,
        supervisor_mark=mark,
        worker_pid=pid,
        worker_mark=mark,
        version=version("pegbox"),
        attempt=attempt,
    )


def entry_begins(entry: Entry, comparison: Comparison, number: int) -> Phase:
    """Say which entry begins; `number`: counted from 1, those that are over and in hand among them."""
    of = max(number, all_entries_count(comparison))
    what = f"seed {entry.seed}" if entry.rung is None else f"rate {entry.rate:.3g} for {entry.steps} steps"
    return Phase(phase="training", detail=f"{entry.contestant}, {what} ({number} of {of})")


def comparison_ended(
    outcomes: Outcomes, *, completed: bool, asked: Literal["stop", "abort"] | None, trouble: Failed | None
) -> Finished | Failed:
    """Say how it ended. `completed`: nothing is left to run; `trouble`: why nothing more can be."""
    done = [one for one in outcomes.values() if one.state == "done"]
    if not completed and asked is None and trouble is not None:
        return trouble
    if completed and not done:
        whys = dict.fromkeys(f"{one.entry.contestant}: {one.why}" for one in outcomes.values() if one.why)
        return Failed(
            what=f"no contestant came to a result: {'; '.join(whys)}",
            where="carrying its entries",
            remedy="What each of them tells says what to do.",
            kind="refused",
        )
    reason: Literal["completed", "stopped", "aborted"] = "aborted" if asked == "abort" else "stopped"
    return Finished(
        reason="completed" if completed else reason,
        steps=len(done),
        kept_step=0,
        adapter=None,
        seconds=sum(one.training_seconds for one in outcomes.values()),
    )
