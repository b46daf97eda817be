"""What a director of 10,000 entries takes, with 100 and with 1,000 lanes, and what lanes take that only wait.

Their workers end as soon as they are handed a run: what is left is the director's own price, a folder for each entry,
its log, its ownership, results.json, the report. Nothing is trained, and no process is started but this one anew for
each side, whose peak is its own. Goals: at most 200 MB with 1,000 lanes, and a tenth of a processor while all wait.
`python -m tests.bench.director_of_entries [ENTRIES LANES]`, or `[wait LANES]`.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pegbox_methods.events import Finished
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing.carrying import Director
from pegbox_runs.arena.results import read_results
from pegbox_runs.commands import send
from pegbox_runs.event_log import EventWriter
from pegbox_runs.fleet.cluster import JobState, Post
from pegbox_runs.fleet.remote_supply import RemoteSupply
from pegbox_runs.judging.judged import write_judged
from pegbox_runs.process_mark import NO_PID
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.owner import Ownership
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.worker_process import Exit
from tests.bench.queue_of_entries import STEPS, judged, memory
from tests.runs.arena.made_up_comparisons import made
from tests.stories import prepared, step

SEEDS = 100
WAITED_SECONDS = 10.0


class Instant:
    """A worker that is done at once."""

    descriptor: int | None = None
    pid = NO_PID
    mark = "instant"
    gone = True
    exit = Exit(0, None)

    def killed_for_memory(self) -> tuple[bool | None, str]:
        return False, ""

    def hand_over(self, folder: RunFolder) -> None:
        """Write what a training leaves."""
        write_judged(judged(random.Random(folder.id)), folder.path)  # noqa: S311  # made up
        writer = EventWriter(folder.events)
        end = Finished(reason="completed", steps=STEPS, kept_step=STEPS, adapter="adapter", seconds=1.0)
        for event in (prepared(), *(step(number) for number in range(1, STEPS + 1)), end):
            writer.emit(event)
        writer.close()

    def send(self, number: signal.Signals) -> None:
        """It is gone."""

    def dismiss(self) -> None:
        """It is gone."""

    def close(self) -> None:
        """It is gone."""


class InstantSupply:
    """Gives a lane such workers."""

    def next(self, folder: RunFolder) -> Instant:  # all are alike
        return Instant()

    def left_behind(self, folder: RunFolder) -> None:  # none is
        return None

    def finish(self, worker: object, folder: RunFolder) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing waits."""


class BusyCluster:
    """Takes every job, and has no room for any."""

    name = "a cluster"

    def __init__(self) -> None:
        self.jobs: set[str] = set()

    def reach(self) -> None:
        """It is reached."""

    def has_gpus(self) -> bool:
        return False

    def check(self, places: Sequence[Path]) -> None:
        """All is well."""

    def slots(self) -> int:
        return 1

    def words(self) -> str:
        return "busy"

    def submit(self, post: Post) -> str:
        self.jobs.add(post.ticket)
        return post.ticket

    def state(self, id_: str) -> JobState:
        return JobState("waiting", "for a node") if id_ in self.jobs else JobState("gone")

    def cancel(self, id_: str) -> None:
        self.jobs.discard(id_)

    def close(self) -> None:
        """Nothing is held."""


def carried(entries: int, lanes: int) -> None:
    """Time a whole comparison, and tell what it held at most."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["PEGBOX_HOME"] = home
        folder = comparison_of(entries // SEEDS, lanes)
        before = memory()
        begin, spent = time.monotonic(), time.process_time()
        ownership = Ownership.take(folder)
        director = Director(folder, lambda _: InstantSupply(), RestartPolicy())
        well = director.work()
        took, spent = time.monotonic() - begin, time.process_time() - spent
        ownership.release()
        results = read_results(folder)
        assert well
        assert results is not None
        assert results.complete
        assert sum(len(one.seeds) for one in results.contestants) == entries
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(
            f"{entries} entries, {lanes:4} lanes: {took:.1f} s, {1e3 * took / entries:.1f} ms each by the clock and "
            f"{1e3 * spent / entries:.1f} ms of the processor; most resident {peak:.0f} MB, of it "
            f"{before / 1e6:.0f} MB before it began"
        )


def waiting(lanes: int) -> None:
    """Let all lanes wait for their places on a cluster, and tell what that takes."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["PEGBOX_HOME"] = home
        folder = comparison_of(lanes // SEEDS, lanes)
        cluster = BusyCluster()
        before = memory()
        ownership = Ownership.take(folder)
        director = Director(folder, lambda _: RemoteSupply(cluster, "ray"), RestartPolicy())
        carrying = threading.Thread(target=director.work)
        carrying.start()
        while len(cluster.jobs) < lanes:
            time.sleep(0.1)
        begin, spent = time.monotonic(), time.process_time()
        time.sleep(WAITED_SECONDS)
        spent = (time.process_time() - spent) / (time.monotonic() - begin)
        each = (memory() - before) / lanes
        print(f"{lanes:4} lanes that wait: {spent:.3f} s of the processor a second; {each / 1e3:.0f} KB resident each")
        send(folder.commands, "stop")
        carrying.join()
        ownership.release()


def comparison_of(contestants: int, lanes: int) -> ComparisonFolder:
    """Make one with a hundred seeds."""
    names = [f"c{number}" for number in range(contestants)]
    return made(*names, seeds=range(1, SEEDS + 1), search=False, steps=STEPS, on="ray", at_once=lanes)


def main(arguments: Sequence[str]) -> None:
    match arguments:
        case ["wait", lanes]:
            waiting(int(lanes))
        case [entries, lanes]:
            carried(int(entries), int(lanes))
        case _:
            for side in (("10000", "100"), ("10000", "1000"), ("wait", "100"), ("wait", "1000")):
                subprocess.run([sys.executable, "-m", "tests.bench.director_of_entries", *side], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
