"""What several processes cost on a processor: the launcher's path, and two processes in place of two threads.

Goals: the launcher's path with one process takes at most 2 % longer for a step than the plain worker; two processes
with a thread each lose at most 10 % of the tokens a second of one process with two threads.

All runs are real ones of `pegbox train`, over the same real rows in the same steps, one after another in each round.
Of each step the fastest of all rounds is taken: a busy neighbour only ever adds. The CPU seconds of all processes that
train stand beside it; they are steadier, but don't see a process that waits.

The model is SmolLM2-135M-Instruct; BENCH_MODEL=bundled takes the small one, BENCH_ROUNDS other than three rounds.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pegbox_methods.events import Joined, Started, Step
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.viewing import follow
from tests.commands import pegbox, write_recipe_text
from tests.smollm2 import smollm2

STEPS = 14
SKIPPED = 4
"""Steps before the measuring begins: buffers grow, caches fill."""
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
CORES = 2
SIDES: dict[str, tuple[dict[str, Any], int]] = {
    "plain": ({}, CORES),
    "launched": ({"processes": 1, "engine": "ddp"}, CORES),
    "two": ({"processes": 2}, 1),
}
"""A side's [devices], and the threads of each of its processes."""


@dataclass(frozen=True)
class Told:
    """One run's steps after the first ones."""

    seconds: list[float]
    tokens: list[int]
    losses: list[float]
    cpu: float
    """CPU seconds of all its processes for a step."""
    waited: float
    """Share of the steps in which the faster process waited for the slower one."""


def run(recipe: Path, home: Path, threads: int) -> Told:
    """Train, and read the processes' CPU time from outside at two of the steps."""
    done = pegbox("train", str(recipe), "--detach", "--json", home=home, OMP_NUM_THREADS=str(threads))
    assert done.returncode == 0, done.stderr
    folder = RunFolder(Path(json.loads(done.stdout)["folder"]))
    pids: list[int] = []
    cpu: dict[int, float] = {}
    steps: dict[int, Step] = {}
    for advance in follow(folder):  # looks five times a second, so that the looking costs the run nothing
        for event in advance.news:
            match event:
                case Started():
                    pids = [event.worker_pid]
                case Joined():
                    pids = [member.pid for member in event.members]
                case Step():
                    steps[event.step] = event
                    if event.step in (SKIPPED, STEPS):
                        cpu[event.step] = sum(map(_cpu_seconds, pids))
    assert len(steps) == STEPS + 2, f"{folder.path}: {folder.log.read_text()[-2000:]}"
    measured = [steps[number] for number in range(SKIPPED + 1, STEPS + 1)]
    waited = sum(step.across.waited_seconds for step in measured if step.across)
    seconds = [step.step_seconds for step in measured]
    return Told(
        seconds=seconds,
        tokens=[step.tokens for step in measured],
        losses=[step.loss for step in measured],
        cpu=(cpu[STEPS] - cpu[SKIPPED]) / len(measured),
        waited=waited / sum(seconds),
    )


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def fastest(rounds: list[dict[str, Told]], side: str) -> float:
    """Add up the fastest round's seconds of each step."""
    return sum(map(min, zip(*(told[side].seconds for told in rounds), strict=True)))


def main() -> None:
    model = os.environ.get("BENCH_MODEL") or str(smollm2())
    rounds: list[dict[str, Told]] = []
    with tempfile.TemporaryDirectory() as scratch:
        recipes = {}
        for side, (devices, _) in SIDES.items():
            place = Path(scratch, side)
            place.mkdir()
            recipes[side] = write_recipe_text(
                place,
                model={"name": model},
                rows={"limit": 300},
                split={"share": 0},
                method={"settings.dropout": 0.0},  # or each process would drop others
                # A run takes more steps than are looked at, so that its end isn't measured.
                training={
                    "max_steps": STEPS + 2,
                    "micro_batch": 4 if model == "bundled" else 2,
                    "accumulation": 2,
                    "precision": "auto",
                },
                evaluation={"every": STEPS + 2, "samples": 0},
                **({"devices": devices} if devices else {}),
            )
        for number in range(ROUNDS):
            order = list(SIDES) if number % 2 == 0 else list(SIDES)[::-1]
            rounds.append({side: run(recipes[side], Path(scratch, "home"), SIDES[side][1]) for side in order})
            print(
                time.strftime("%H:%M:%S"),
                {side: (round(sum(told.seconds), 2), round(told.cpu, 3)) for side, told in rounds[-1].items()},
                flush=True,
            )
    report(rounds)


def report(rounds: list[dict[str, Told]]) -> None:
    """Print both ratios, and that all sides did the same work."""
    tokens = {side: rounds[0][side].tokens for side in SIDES}
    assert tokens["plain"] == tokens["launched"] == tokens["two"], "the sides took other rows"
    apart = max(abs(one - other) for one, other in zip(rounds[0]["plain"].losses, rounds[0]["two"].losses, strict=True))
    best = {side: fastest(rounds, side) for side in SIDES}
    cpu = {side: statistics.median(told[side].cpu for told in rounds) for side in SIDES}
    count = STEPS - SKIPPED
    speed = {side: sum(tokens[side]) / best[side] for side in SIDES}
    print(
        f"a step, the fastest of {ROUNDS}: plain worker {best['plain'] / count:.4f} s, launched "
        f"{best['launched'] / count:.4f} s: {best['launched'] / best['plain'] - 1:+.1%} (goal +2 %); CPU seconds "
        f"{cpu['plain']:.3f} and {cpu['launched']:.3f}: {cpu['launched'] / cpu['plain'] - 1:+.1%}"
    )
    waited = statistics.median(told["two"].waited for told in rounds)
    print(
        f"tokens a second: one process with {CORES} threads {speed['plain']:,.0f}, two with one {speed['two']:,.0f}: "
        f"{speed['two'] / speed['plain'] - 1:+.1%} (goal -10 %); the faster one waits {waited:.1%} of a step; CPU "
        f"seconds {cpu['plain']:.3f} and {cpu['two']:.3f}; losses at most {apart:.1e} apart"
    )


if __name__ == "__main__":
    main()
