"""The real director with pretended workers and short waits: `python pretended_director.py PLAN [--adopt]`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from pegbox_runs.arena.directing.director import direct
from pegbox_runs.arena.directing.lanes import LaneSupply
from pegbox_runs.supervision.intake import Intake
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.shared_worker import SharedWorkerSupply
from pegbox_runs.supervision.workers import WorkerSupply

WORKER = Path(__file__).with_name("pretended_trainer.py")
SHARER = Path(__file__).with_name("pretended_sharer.py")
RESTARTS = RestartPolicy(first_wait_seconds=0.02, longest_wait_seconds=0.05)


def command(*arguments: str) -> list[str]:
    """Give its command line."""
    return [sys.executable, "-P", __file__, *arguments]


def pretended(plan: str, gpu: str | None) -> LaneSupply:
    """Give a lane's pretended workers."""
    gpus = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
    if json.loads(Path(plan).read_bytes()).get("shares"):
        return SharedWorkerSupply(lambda: [sys.executable, "-P", str(SHARER), plan], lambda: {**os.environ, **gpus})
    return WorkerSupply(lambda: [sys.executable, "-P", str(WORKER), plan], lambda: {**os.environ, **gpus})


if __name__ == "__main__":
    sys.exit(direct(Intake(), lambda gpu: pretended(sys.argv[1], gpu), RESTARTS, adopting="--adopt" in sys.argv))
