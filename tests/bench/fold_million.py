"""A log of a million steps: folded whole, then followed. Goals: under 1.3 s; only what is new is read."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

from pegbox_methods.events import Memory, Step, event_encoder
from pegbox_runs.event_log import EventReader
from pegbox_runs.run_state import RunState, catch_up

LINES = 1_000_000


def line(number: int) -> bytes:
    """Encode one step with every field filled, as a GPU run writes it."""
    memory = Memory(device_now=10**10, device_peak=2 * 10**10, process_now=10**9, process_peak=2 * 10**9 + number)
    step = Step(
        seq=number,
        time=1.76e9 + number * 0.37,
        step=number,
        epoch=number / 12345,
        loss=2.0 + 1 / number,
        learning_rate=1.9999e-4,
        gradient_norm=0.5123,
        tokens=2048,
        tokens_per_second=5432.1,
        step_seconds=0.37702,
        rows_seconds=0.00123,
        optimizer_seconds=0.01402,
        memory=memory,
    )
    return event_encoder().encode(step) + b"\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "events.jsonl")
        with log.open("wb") as file:
            file.writelines(line(number) for number in range(1, LINES + 1))
        size = log.stat().st_size
        reader = EventReader(log)
        begin, worked = time.perf_counter(), time.process_time()
        state = catch_up(reader, RunState())
        whole, worked = time.perf_counter() - begin, time.process_time() - worked
        assert len(state.loss) == LINES
        with log.open("ab") as file:
            file.write(line(LINES + 1))
        begin = time.perf_counter()
        state = catch_up(reader, state)
        more = time.perf_counter() - begin
        assert len(state.loss) == LINES + 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{LINES:,} lines ({size / 1e6:.0f} MB) folded in {whole:.2f} s, {worked:.2f} s of the processor (goal 1.3 s), "
        f"peak memory {peak:.0f} MiB; one more line in {more * 1e3:.2f} ms: {whole / more:,.0f}x less"
    )


if __name__ == "__main__":
    main()
