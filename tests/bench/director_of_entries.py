"""A director carries 2,000 entries through 100 lanes, whose workers end as soon as they are handed a run.

What is left is the director's own price: a folder for each entry, its log, its ownership, results.json, the report.
Nothing is trained, and no process is started. `python -m tests.bench.director_of_entries [ENTRIES LANES]`.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import tempfile
import time

from pegbox_methods.events import Finished
from pegbox_runs.arena.directing.carrying import Director
from pegbox_runs.arena.results import read_results
from pegbox_runs.event_log import EventWriter
from pegbox_runs.judging.judged import write_judged
from pegbox_runs.process_mark import NO_PID
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.owner import Ownership
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.worker_process import Exit
from tests.bench.queue_of_entries import STEPS, judged
from tests.runs.arena.directed import made
from tests.stories import prepared, step

SEEDS = 100


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


def main(entries: int = 2000, lanes: int = 100) -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ["PEGBOX_HOME"] = home
        names = [f"c{number}" for number in range(entries // SEEDS)]
        seeds = range(1, SEEDS + 1)
        folder = made(*names, seeds=seeds, search=False, steps=STEPS, on="ray", at_once=lanes)
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
        assert sum(len(one.seeds) for one in results.contestants) == len(names) * SEEDS
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(
            f"{len(names) * SEEDS} entries, {lanes} lanes: {took:.1f} s, {1e3 * took / entries:.1f} ms each by the "
            f"clock and {1e3 * spent / entries:.1f} ms of the processor; most resident {peak:.0f} MB"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
