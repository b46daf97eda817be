"""What supervising and watching a run cost: memory and processor time of the supervisor with one viewer, and what
viewers cost the run itself.

Goals: supervisor and one viewer at most 60 MB and 1 % of a core together; a run's steps take as long with three
viewers as with none. Memory is PSS (shared pages by their share) and RSS (whole); processor time is user + system.
"""

from __future__ import annotations

import contextlib
import os
import pty
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import psutil

from pegbox_methods.events import Step
from tests.bench.endless import EndlessRun, endless_run
from tests.commands import events_of

LOOK_SECONDS = 20.0
SETTLE_SECONDS = 4.0
WINDOW_SECONDS = 12.0
WINDOWS = 3
MANY = 3
MB = 1e6


class Cost(NamedTuple):
    """Of some processes, over a while."""

    pss_mb: float
    rss_mb: float
    core_percent: float


def cost(*processes: psutil.Process) -> Cost:
    """Look at processes for a while."""
    begin, before = time.monotonic(), [_cpu(process) for process in processes]
    time.sleep(LOOK_SECONDS)
    spent = sum(_cpu(process) for process in processes) - sum(before)
    memory = [process.memory_full_info() for process in processes]
    return Cost(
        sum(one.pss for one in memory) / MB,
        sum(one.rss for one in memory) / MB,
        100 * spent / (time.monotonic() - begin),
    )


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


@contextlib.contextmanager
def viewers(run: EndlessRun, count: int, *, screen: bool) -> Iterator[list[psutil.Process]]:
    """Watch a run with some viewers: plain lines, or the dashboard in terminals of 80x24 that somebody reads."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_viewer(run, screen=screen)) for _ in range(count)]


@contextlib.contextmanager
def _viewer(run: EndlessRun, *, screen: bool) -> Iterator[psutil.Process]:
    terminal, inside = pty.openpty()
    reader = threading.Thread(target=_read_away, args=(terminal,), daemon=True)
    reader.start()
    words = [sys.executable, "-P", "-m", "pegbox", "watch", run.folder.id, *([] if screen else ["--plain"])]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    viewer = subprocess.Popen(words, stdin=inside, stdout=inside, stderr=inside, env=environment)
    os.close(inside)
    try:
        yield psutil.Process(viewer.pid)
    finally:
        viewer.kill()
        viewer.wait()
        reader.join()
        os.close(terminal)


def _read_away(terminal: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            pass


def step_seconds(run: EndlessRun, count: int) -> float:
    """Give the median of a run's steps while some viewers look at it."""
    with viewers(run, count, screen=False):
        time.sleep(SETTLE_SECONDS)
        begin = time.time()
        time.sleep(WINDOW_SECONDS)
        steps = [event for event in events_of(run.folder) if isinstance(event, Step) and event.time >= begin]
    return statistics.median(step.step_seconds for step in steps[1:])


def _said(cost: Cost) -> str:
    return f"{cost.pss_mb:.1f} MB PSS, {cost.rss_mb:.1f} MB RSS, {cost.core_percent:.2f} % of a core"


def main() -> None:
    with endless_run() as run:
        for name, screen in (("plain lines", False), ("the dashboard", True)):
            with viewers(run, 1, screen=screen) as processes:
                time.sleep(SETTLE_SECONDS)
                alone, both = cost(run.supervisor), cost(run.supervisor, *processes)
            print(f"supervisor with {name}: {_said(both)} (goals 60 MB, 1 %); the supervisor alone: {_said(alone)}")
        pairs = [(step_seconds(run, 0), step_seconds(run, MANY)) for _ in range(WINDOWS)]
    without, watched = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"a step: {without:.4f} s unwatched, {watched:.4f} s with {MANY} viewers: {watched / without:.3f}x; pairs "
        f"{', '.join(f'{many / none:.3f}x' for none, many in pairs)}"
    )


if __name__ == "__main__":
    main()
