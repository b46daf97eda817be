"""How many bytes a dashboard writes to a terminal of 80x24 while a run is live. Goals: at most 4 KB/s on average, and
1 KB/s with --calm.

Method: `pegbox watch` runs as a process of its own in a pseudo-terminal of 80x24 with 24-bit color (which takes the
most bytes), and this process reads all that it writes to it, as an SSH server would. Meanwhile a log grows by a step
every so often, each with other figures, a device's load every 5 s and an evaluation every 30 s. The first 5 s, with the
first frame, are left out; the next 60 s are counted. The overview is shown, where most changes. What SSH adds (some
tens of bytes a packet) and takes away (compression) isn't counted.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from typing import NamedTuple

from tests.bench.watching import LiveLog, Viewer

SETTLE_SECONDS = 5.0
COUNTED_SECONDS = 60.0
STEPS_BEFORE = 500
GOALS = {False: 4.0, True: 1.0}
"""KB/s by whether it is calm."""


class Wire(NamedTuple):
    """One way of watching."""

    steps_a_second: float
    calm: bool


def bytes_a_second(wire: Wire, counted_seconds: float) -> float:
    """Watch a live run for a while."""
    log = LiveLog(steps_planned=10_000)
    seconds = 1 / wire.steps_a_second
    for number in range(1, STEPS_BEFORE + 1):
        log.tell_step(number, seconds)
    watching = Viewer(log.folder, *(["--calm"] if wire.calm else []))
    ended = threading.Event()

    def go_on() -> None:
        number = STEPS_BEFORE
        while not ended.wait(seconds):
            number += 1
            log.tell_step(number, seconds)

    live = threading.Thread(target=go_on)
    live.start()
    try:
        time.sleep(SETTLE_SECONDS)
        watching.await_text(b"Overview", 20)
        before = watching.received
        time.sleep(counted_seconds)
        return (watching.received - before) / counted_seconds
    finally:
        ended.set()
        live.join()
        watching.end()


def main() -> None:
    """Measure all four ways at once, for as many seconds as are given, or 60."""
    counted = float(sys.argv[1]) if len(sys.argv) > 1 else COUNTED_SECONDS
    found: dict[Wire, float] = {}

    def measure(wire: Wire) -> None:
        found[wire] = bytes_a_second(wire, counted)

    with tempfile.TemporaryDirectory() as home:
        os.environ["PEGBOX_HOME"] = home
        wires = [Wire(rate, calm) for rate in (1.0, 5.0) for calm in (False, True)]
        threads = [threading.Thread(target=measure, args=(wire,)) for wire in wires]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for wire in wires:
        name = "--calm" if wire.calm else "plain"
        print(f"{wire.steps_a_second:g} steps/s, {name}: {found[wire] / 1e3:.2f} KB/s (goal {GOALS[wire.calm]:g} KB/s)")


if __name__ == "__main__":
    main()
