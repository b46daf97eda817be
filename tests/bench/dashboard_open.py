"""A dashboard over a run of a million steps: how soon it is there, what it costs then, how quickly it answers a key.

Goals: all of the history is on the screen after at most 2 s; then at most 3 % of a core at one event a second; from a
key to what it shows at most 100 ms at the 95th percentile while 200 events a second come in.

Method: `pegbox watch` as a process of its own in a pseudo-terminal of 80x24, over a log whose worker seems to live. A
key's time goes from its byte being written to the terminal until the bytes of what it shows have come back: keys that
change the page and the curve, one every 0.23 s.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from itertools import cycle, islice

from tests.bench.fold_million import LINES, line
from tests.bench.watching import LiveLog, Viewer

QUIET_SECONDS = 30.0
BETWEEN_KEYS = 0.23
KEYS = (
    (b"2", b"[2 Answers]"),
    (b"1", b"[1 Overview]"),
    (b"g", b"learning rate"),
    (b"G", b"smoothed over"),
    (b"3", b"[3 Memory]"),
    (b"1", b"[1 Overview]"),
    (b"l", b"log scale"),
    (b"l", b"smoothed"),
)
PRESSED = 80


def main() -> None:
    """Measure all three."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["PEGBOX_HOME"] = home
        log = LiveLog(steps_planned=2 * LINES)
        with log.folder.events.open("ab") as file:
            file.writelines(line(number) for number in range(3, LINES + 1))
        log.skip_to(LINES)
        watching = Viewer(log.folder)
        try:
            first = watching.await_text(b"Overview", 60) - watching.began
            whole, worked = _whole_seconds(watching), watching.core_seconds()
            print(
                f"first frame after {first:.2f} s; all {LINES:,} steps after {whole:.2f} s (goal 2 s), "
                f"with {worked:.2f} s of the processor; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
            )
            time.sleep(5)
            print(f"1 event/s: {_core_percent(log, watching):.2f} % of a core (goal 3 %)")
            times = sorted(_key_seconds(log, watching))
            print(
                f"200 events/s: key to frame {1e3 * times[len(times) // 2]:.0f} ms in the middle, "
                f"{1e3 * times[round(0.95 * len(times)) - 1]:.0f} ms at the 95th percentile (goal 100 ms), "
                f"{1e3 * times[-1]:.0f} ms at most"
            )
            memory = watching.process.memory_full_info()
            print(f"the viewer's memory: {memory.pss / 1e6:.0f} MB PSS")
        finally:
            watching.end()


def _whole_seconds(watching: Viewer) -> float:
    """Give the seconds from the start until the newest step is told; until then only how much of the log is read."""
    return watching.await_text(f"step {LINES:,}/".encode(), 60) - watching.began


def _core_percent(log: LiveLog, watching: Viewer) -> float:
    before, begin = watching.core_seconds(), time.monotonic()
    for _ in range(round(QUIET_SECONDS)):
        log.tell_step(log.newest + 1, 1.0)
        time.sleep(1)
    return 100 * (watching.core_seconds() - before) / (time.monotonic() - begin)


def _key_seconds(log: LiveLog, watching: Viewer) -> list[float]:
    """Press keys while steps come in four at a time, fifty times a second."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(0.02):
            for _ in range(4):
                log.tell_step(log.newest + 1, 0.005)

    live = threading.Thread(target=go_on)
    live.start()
    times = []
    try:
        for key, shown in islice(cycle(KEYS), PRESSED):
            time.sleep(BETWEEN_KEYS)
            begin = time.monotonic()
            watching.press(key)
            times.append(watching.await_text(shown, 20) - begin)
    finally:
        ended.set()
        live.join()
    return times


if __name__ == "__main__":
    main()
