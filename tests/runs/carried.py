"""Runs carried one by one in the caller's own process, as their owner does."""

from __future__ import annotations

import select

from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.supervision.carrier import Carrier
from pegbox_runs.supervision.owner import Ownership
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.worker import Supply, Worker


def carry(supply: Supply, folder: RunFolder) -> RunState:
    """Carry a run to its end, with no wait before another worker. Returns: what it came to."""
    ownership = Ownership.take(folder)
    carrier = Carrier(folder, ownership, supply, _wait, RestartPolicy(first_wait_seconds=0.0))
    try:
        return carrier.carry(carrier.begin())
    finally:
        ownership.release()


def _wait(seconds: float, worker: Worker | None) -> bool:
    select.select([worker.descriptor] if worker and worker.descriptor is not None else [], [], [], seconds)
    return False
