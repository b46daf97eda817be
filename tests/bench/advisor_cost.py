"""What a look of the advisor costs over a run of a million steps, and a chart's extremes. Goal: under 2 ms a look."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import msgspec

from pegbox_methods.events import Step
from pegbox_runs.advisor import hints
from pegbox_runs.run_state import RunState, fold
from tests.stories import evaluation, prepared, started, step

STEPS = 1_000_000
LOOKS = 200
COLUMNS = 240
ROUNDS = 50


def long_run() -> RunState:
    """Fold a million steps, with evaluations and all that the rules look at."""
    ready = msgspec.structs.replace(
        prepared(), steps=2 * STEPS, every=STEPS // LOOKS, vocabulary=32_000, max_gradient_norm=1.0, micro_batch=4
    )
    state = fold([started(), ready, evaluation(0, 3.0)])
    one = msgspec.structs.replace(step(1), rows_seconds=0.01, optimizer_seconds=0.1)
    every = STEPS // LOOKS
    for first in range(1, STEPS, every):
        taken: list[Step] = [
            msgspec.structs.replace(one, step=number, loss=1 + 1 / number) for number in range(first, first + every)
        ]
        state = fold([*taken, evaluation(first + every - 1, 1 + 1 / first)], state)
    return state


def milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


def main() -> None:
    state = long_run()
    begin = time.perf_counter()
    state.loss.extremes(1, STEPS, COLUMNS)
    first = 1000 * (time.perf_counter() - begin)
    print(
        f"over {len(state.loss):,} steps and {len(state.evaluations)} evaluations: the advisor {len(hints(state))} "
        f"hints in {milliseconds(lambda: hints(state)):.2f} ms (goal 2 ms); the extremes of {COLUMNS} columns "
        f"{milliseconds(lambda: state.loss.extremes(1, STEPS, COLUMNS)):.2f} ms (the first time {first:.0f} ms), their "
        f"means {milliseconds(lambda: state.loss.means(1, STEPS, COLUMNS)):.2f} ms; the time left "
        f"{milliseconds(lambda: state.time_left):.2f} ms"
    )


if __name__ == "__main__":
    main()
