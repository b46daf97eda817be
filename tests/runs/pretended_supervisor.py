"""The real supervisor with pretended workers and short waits: `python pretended_supervisor.py PLAN [--adopt]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pegbox_runs.supervision.intake import Intake
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.workers import WorkerSupply
from pegbox_runs.supervisor import supervise

WORKER = Path(__file__).with_name("pretended_worker.py")


def command(*arguments: str) -> list[str]:
    """Give its command line."""
    return [sys.executable, "-P", __file__, *arguments]


if __name__ == "__main__":
    waits = RestartPolicy(first_wait_seconds=float(os.environ.get("FIRST_WAIT", "0.05")))
    supply = WorkerSupply(lambda: [sys.executable, "-P", str(WORKER), sys.argv[1]], lambda: os.environ)
    sys.exit(supervise(Intake(), supply, waits, adopting="--adopt" in sys.argv))
