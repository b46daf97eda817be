"""What a step costs the worker on a CPU, against bare PyTorch loops over the very same batches.

Goals: at most 1.05x the best bare loop (only labelled positions through the head), and at most 1.1x a loop with
transformers' plain loss. CPU seconds (user + system) of the process are compared: they are steadier than wall
time where neighbours are busy.

Every row is the same real one, so that each side sees the very same batches whatever its order of rows.
The model is SmolLM2-135M-Instruct; BENCH_MODEL=bundled takes the small one.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import psutil

from pegbox_methods.events import Started, Step
from pegbox_runs.launch import worker_environment
from pegbox_runs.rows.example import Conversation
from pegbox_runs.viewing import follow
from tests.alpaca import alpaca_rows
from tests.commands import start_detached, wait_for, write_recipe_text
from tests.example_rows import examples_of
from tests.smollm2 import smollm2

STEPS = 14
SKIPPED = 4
"""Steps before the measuring begins: buffers grow, caches fill."""
ROUNDS = 3
ANSWER_CHARACTERS = 500
BARE = ("labelled", "labelled-autograd", "plain")


def bare(kind: str, recipe: Path) -> dict[str, float]:
    """Run one bare loop in a process of its own, under the worker's own environment."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.bare_loop", kind, str(recipe), str(STEPS), str(SKIPPED)],
        env=worker_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def worker(recipe: Path, home: Path) -> dict[str, float]:
    """Run the worker as users do, and read its CPU time from outside at two of its steps."""
    folder = start_detached(recipe, home)
    started = wait_for(folder, lambda event: isinstance(event, Started))
    assert isinstance(started, Started)
    process = psutil.Process(started.worker_pid)
    seen: dict[int, tuple[float, Step]] = {}
    for advance in follow(folder):  # looks five times a second, so that the looking costs the run nothing
        times = process.cpu_times() if process.is_running() else None
        for event in advance.news:
            if isinstance(event, Step) and times is not None:
                seen[event.step] = (times.user + times.system, event)
    (cpu_0, first), (cpu_1, last) = seen[SKIPPED], seen[STEPS]
    count = STEPS - SKIPPED
    return {"cpu": (cpu_1 - cpu_0) / count, "wall": (last.time - first.time) / count, "loss": last.loss}


def one_row_many_times(folder: Path) -> Path:
    """Write a file of one real row, 300 times: a question of some length, and an answer of five hundred characters."""
    examples = examples_of(alpaca_rows())
    chats = [example for example in examples if isinstance(example, Conversation)]
    chosen = min(chats, key=lambda chat: abs(len(chat.messages[-1].content) - ANSWER_CHARACTERS))
    path = folder / "rows.jsonl"
    path.write_bytes((msgspec.json.encode({"messages": chosen.messages}) + b"\n") * 300)
    return path


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        recipe = write_recipe_text(
            Path(scratch),
            model={"name": os.environ.get("BENCH_MODEL") or str(smollm2())},
            rows={"file": str(one_row_many_times(Path(scratch))), "limit": 300},
            split={"share": 0},
            # The worker takes more steps than are looked at, so that its end isn't measured.
            training={"max_steps": STEPS + 2, "micro_batch": 4, "accumulation": 1, "length": 256, "precision": "auto"},
            evaluation={"every": STEPS + 2, "samples": 0},
        )
        rounds = []
        for _ in range(ROUNDS):
            sides = {kind: bare(kind, recipe) for kind in BARE}
            sides["pegbox"] = worker(recipe, Path(scratch, "home"))
            rounds.append(sides)
            print(json.dumps(sides))
    cpu = {side: statistics.median(r[side]["cpu"] for r in rounds) for side in rounds[0]}
    best = min(BARE[:2], key=lambda kind: cpu[kind])

    def ratio(other: str, figure: str) -> float:
        return statistics.median(r["pegbox"][figure] / r[other][figure] for r in rounds)

    print(
        f"CPU seconds a step, median of {ROUNDS}: pegbox {cpu['pegbox']:.3f}; best bare loop ({best}) {cpu[best]:.3f}: "
        f"{ratio(best, 'cpu'):.3f}x, wall {ratio(best, 'wall'):.3f}x (goal 1.05x); plain loss {cpu['plain']:.3f}: "
        f"{ratio('plain', 'cpu'):.3f}x, wall {ratio('plain', 'wall'):.3f}x (goal 1.1x)"
    )


if __name__ == "__main__":
    main()
