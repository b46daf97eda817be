"""What torch's launcher does, without torch: starts ranks, ends all when one fails, and says how in torch's words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

RANK = Path(__file__).with_name("pretended_rank.py")


def main(plan: str, folder: str, attempt: str, count: int) -> int:
    """Start that many, and wait."""
    ranks = [
        subprocess.Popen(
            [sys.executable, "-P", str(RANK), plan, folder, attempt],
            env={**os.environ, "RANK": str(rank)},
            start_new_session=True,
        )
        for rank in range(count)
    ]
    while True:
        failed = [rank for rank, process in enumerate(ranks) if process.poll()]
        if failed:
            break
        if all(process.poll() == 0 for process in ranks):
            return 0
        time.sleep(0.05)
    first = failed[0]
    for process in ranks:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in ranks:
        process.wait()  # torch's waits for half a minute at most, and has said nothing until then
    said = f"failed (exitcode: {ranks[first].returncode}) local_rank: {first} (pid: {ranks[first].pid}) of binary: x"
    print(said, flush=True)
    for rank, process in sorted(enumerate(ranks), key=lambda pair: pair[0] == first):
        print(f"[0]:\n  time      : t\n  host      : h\n  rank      : {rank} (local_rank: {rank})")
        print(f"  exitcode  : {process.returncode} (pid: {process.pid})\n", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
