"""How soon a run answers what it is asked, while it loads and while it trains, and how soon it has done it.

Goal: each answer within one step and a second.
"""

from __future__ import annotations

import statistics
import time

from pegbox_methods.events import AnyEvent, Checkpoint, CommandAnswer, Continued, Finished, Paused, Phase, Step
from pegbox_runs.asking import ask
from pegbox_runs.commands import CommandName
from pegbox_runs.run_folder import RunFolder
from tests.bench.endless import endless_run
from tests.commands import events_of, wait_for

ROUNDS = 3
DONE_BY: dict[CommandName, type[AnyEvent]] = {
    "pause": Paused,
    "checkpoint": Checkpoint,
    "resume": Continued,
    "stop": Finished,
}
"""Which event tells that it was done."""


def answered(folder: RunFolder, name: CommandName) -> tuple[CommandAnswer, float]:
    """Ask. Returns: the answer, and after how many seconds it was done."""
    begin = time.time()
    answer = ask(folder, name, 60)
    assert answer is not None, name
    assert answer.taken, answer.text
    done = wait_for(folder, lambda event: isinstance(event, DONE_BY[name]) and event.time >= begin)
    return answer, getattr(done, "time", 0.0) - begin


def phase_at(folder: RunFolder, answer: CommandAnswer) -> str:
    """Give what the worker was at when it answered; a worker that imports has told nothing yet."""
    phases = [event.phase for event in events_of(folder) if isinstance(event, Phase) and event.seq < answer.seq]
    return phases[-1] if phases else "imports"


def main() -> None:
    slowest, step_seconds = 0.0, 0.0
    for number in range(ROUNDS):
        with endless_run(first_step=False) as run:
            early, _ = answered(run.folder, "checkpoint")
            wait_for(run.folder, lambda event: isinstance(event, Step) and event.step >= 10)
            names: tuple[CommandName, ...] = ("checkpoint", "pause", "checkpoint", "resume", "stop")
            came = [(name, *answered(run.folder, name)) for name in names]
            where = phase_at(run.folder, early)
            steps = [event.step_seconds for event in events_of(run.folder) if isinstance(event, Step)]
        step_seconds = max(step_seconds, statistics.median(steps))
        slowest = max(slowest, early.latency, *(answer.latency for _, answer, _ in came))
        said = ", ".join(f"{name} {answer.latency:.2f} s (done {done:.2f} s)" for name, answer, done in came)
        print(f"round {number + 1}: checkpoint, asked during {where}, {early.latency:.2f} s; later {said}")
    print(f"slowest answer {slowest:.2f} s; a step takes {step_seconds:.2f} s (goal: a step and 1 s)")


if __name__ == "__main__":
    main()
