"""What writing a step's event costs, against what the step costs: CPU seconds, on the bundled model.

Goal: at most 0.2 % of a step. The heartbeat that hears commands is told beside it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from pegbox_methods.events import Step
from pegbox_runs.commands import CommandReader, send
from pegbox_runs.event_log import EventWriter
from pegbox_worker.control import POLL_SECONDS
from tests.bench.endless import endless_run
from tests.commands import events_of, wait_for

STEPS = 40
ROUNDS = 5
WRITTEN = 2000
POLLED = 2000


def seconds_of_a_step() -> tuple[float, float, list[Step]]:
    """Give CPU and wall seconds of a step of a real run, and the steps that it told."""
    with endless_run() as run:
        times = []
        for _ in range(2):
            newest = max(event.step for event in events_of(run.folder) if isinstance(event, Step))
            wait_for(run.folder, lambda event, n=newest: isinstance(event, Step) and event.step >= n + STEPS)  # type: ignore[misc]
            cpu = run.worker.cpu_times()
            steps = [event for event in events_of(run.folder) if isinstance(event, Step)]
            times.append((cpu.user + cpu.system, steps[-1].step))
        (cpu_0, step_0), (cpu_1, step_1) = times
    wall = statistics.median(step.step_seconds for step in steps)
    return (cpu_1 - cpu_0) / (step_1 - step_0), wall, steps


def seconds_of_an_event(step: Step) -> float:
    """Write that step many times, as a run does. Returns: CPU seconds of one, the least of some rounds."""
    with tempfile.TemporaryDirectory() as scratch:
        writer = EventWriter(Path(scratch, "events.jsonl"))
        return min(_cpu(lambda: writer.emit(step), WRITTEN) for _ in range(ROUNDS))


def seconds_of_a_poll() -> float:
    """Look for commands many times, ten lying there. Returns: CPU seconds of one look."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "commands.jsonl")
        for _ in range(10):
            send(path, "resume")
        reader = CommandReader(path)
        return min(_cpu(reader.new, POLLED) for _ in range(ROUNDS))


def _cpu(work: object, times: int) -> float:
    assert callable(work)
    begin = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begin) / times


def main() -> None:
    cpu, wall, steps = seconds_of_a_step()
    event, poll = seconds_of_an_event(steps[-1]), seconds_of_a_poll()
    print(
        f"a step: {cpu:.4f} CPU seconds ({wall:.4f} s); writing its event: {1e6 * event:.1f} us, "
        f"{100 * event / cpu:.3f} % of it (goal 0.2 %); hearing commands: {1e6 * poll:.1f} us each {POLL_SECONDS} s, "
        f"{100 * poll / POLL_SECONDS:.3f} % of a core"
    )


if __name__ == "__main__":
    main()
