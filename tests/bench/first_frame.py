"""`pegbox` alone, in a terminal: from the shell prompt to the first whole frame, and to the machine's name.

Goals: the frame at most 0.5 s and at most 3x of importing textual.app; the machine at most 1 s. Both sides are
measured in turn, in one run, so that a busy machine slows both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

from tests.in_terminal import InTerminal, pegbox_command

ROUNDS = 15
FRAME = "6 Review"
"""Of the line on top, drawn last of it."""
KEYS = "Commands"
"""Of the last line: the frame is whole."""
MACHINE = "processor"
"""What is said of every machine, with its name."""


def import_seconds() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import textual.app"], check=True)
    return time.perf_counter() - begin


def frame_seconds() -> tuple[float, float]:
    with (
        tempfile.TemporaryDirectory() as home,
        InTerminal(pegbox_command(), {"PEGBOX_HOME": home, "HF_HUB_OFFLINE": "1"}) as wizard,
    ):
        frame = wizard.wait_for(KEYS)
        assert FRAME.encode() in wizard.written
        machine = frame if MACHINE.encode() in wizard.written else wizard.wait_for(MACHINE)
        wizard.type(b"q")
        wizard.wait_for_end()
        return frame, machine


def main() -> None:
    import_seconds()
    frame_seconds()
    rounds = [(import_seconds(), *frame_seconds()) for _ in range(ROUNDS)]
    imported, frame, machine = (statistics.median(side) for side in zip(*rounds, strict=True))
    print(
        f"import textual.app {imported * 1e3:.0f} ms, first frame of pegbox {frame * 1e3:.0f} ms (goal 500 ms): "
        f"{frame / imported:.2f}x (goal 3x); the machine is known after {machine * 1e3:.0f} ms (goal 1000 ms)"
    )


if __name__ == "__main__":
    main()
