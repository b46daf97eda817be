"""`pegbox --version` against a bare interpreter. Goal: at most 5x."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 30


def seconds(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    bare = [sys.executable, "-c", "pass"]
    version = [str(Path(sys.executable).parent / "pegbox"), "--version"]
    seconds(version)
    pairs = [(seconds(bare), seconds(version)) for _ in range(ROUNDS)]
    left, right = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"bare interpreter {left * 1e3:.1f} ms, pegbox --version {right * 1e3:.1f} ms: {right / left:.2f}x (goal 5x)")


if __name__ == "__main__":
    main()
