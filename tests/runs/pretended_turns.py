"""A worker for run after run that only does what stands in each run's folder, in `deeds`: it trains nothing.

`python pretended_turns.py --turns FD`. Deeds, one a line: `print TEXT`, `wait FILE` (until it is there), `tell TEXT`
(into the pipe, as it stands), `complete` (the line that a worker writes), `kill NUMBER`, `exit CODE`.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

COMPLETED = b"0\n"


def do(deed: str, what: str, turns: int) -> None:
    match deed:
        case "print":
            os.write(1, f"{what}\n".encode())
        case "wait":
            while not Path(what).exists():
                time.sleep(0.01)
        case "tell":
            os.write(turns, what.encode().decode("unicode_escape").encode())
        case "complete":
            os.write(turns, COMPLETED)
        case "kill":
            os.kill(os.getpid(), int(what))
        case "exit":
            os._exit(int(what))


def main() -> None:
    turns = int(sys.argv[sys.argv.index("--turns") + 1])
    for line in sys.stdin.buffer:
        folder = Path(os.fsdecode(line.rstrip(b"\n")))
        with (folder / "pids").open("a") as pids:
            pids.write(f"{os.getpid()}\n")
        for deed in (folder / "deeds").read_text().splitlines():
            do(deed.partition(" ")[0], deed.partition(" ")[2], turns)


if __name__ == "__main__":
    main()
