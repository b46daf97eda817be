"""What the sentinel's looking costs: in the 20 steps that it looks at closely, and at an evaluation after them.

LoRA and full fine-tuning at their cards' defaults, micro-batches of 4 short rows, on the bundled model, or with
BENCH_MODEL=smollm2 on SmolLM2-135M-Instruct. Seconds of the sentinel's own clock beside those of all steps, of one run,
so that a busy neighbour disturbs both alike.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from pegbox_methods.recipe import Model, Recipe
from pegbox_runs.rows.loading import load_rows
from pegbox_worker.base_model import fetch, load_tokenizer
from pegbox_worker.certify.bench import LENGTH, MODEL, ROWS, Bench, open_bench
from pegbox_worker.sentinel.sentinel import WINDOW, Sentinel
from pegbox_worker.tokens import tokenize
from tests.smollm2 import smollm2
from tests.watched_run import first_rows, watched_run

STEPS, EVERY = WINDOW + 4, 2
METHODS = ("lora", "full")


class Clock(TrainerCallback):  # type: ignore[misc]
    """Times the steps, and reads the sentinel's own clock at the window's end and at the last evaluation."""

    def __init__(self) -> None:
        self.sentinel: Sentinel | None = None
        self.steps: list[float] = []
        self.looked: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start."""
        self._began = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stop."""
        assert self.sentinel is not None
        self.steps.append(time.perf_counter() - self._began)
        self.looked.append(self.sentinel._seconds)


def _bench() -> Bench:
    bench = open_bench()
    if os.environ.get("BENCH_MODEL") != "smollm2":
        return bench
    model = Model(name=str(smollm2()))
    found = fetch(model)
    tokenizer = load_tokenizer(found, model)
    rows = load_rows(Recipe(model=MODEL, rows=ROWS))
    trained = first_rows(tokenize(rows.trained, tokenizer, LENGTH), 96)
    held_out = first_rows(tokenize(rows.held_out, tokenizer, LENGTH), 8)
    parts: dict[str, Any] = {"trained": trained, "held_out": held_out, "shown": trained, "_loaded": {}}
    return dataclasses.replace(bench, found=found, tokenizer=tokenizer, **parts)


def main() -> None:
    """Print one line for each method."""
    torch.set_num_threads(1)
    bench = _bench()
    for method in METHODS:
        clock = Clock()

        def take(trainer: Any, clock: Clock = clock) -> None:
            found = [one for one in trainer.callback_handler.callbacks if isinstance(one, Sentinel)]
            clock.sentinel = found[0]

        with tempfile.TemporaryDirectory() as scratch:
            watched_run(
                bench,
                Path(scratch),
                method,
                STEPS,
                every=EVERY,
                beside=[clock],
                after_making=take,
                micro_batch=4,
            )
        assert clock.sentinel is not None
        step = sum(clock.steps) / len(clock.steps)
        first = clock.looked[WINDOW] - 0.0  # read before the looking of the step after
        after = (clock.sentinel._seconds - first) / 3
        print(
            f"{method}: a step {step * 1e3:.0f} ms; looking in the first {WINDOW} steps {first * 1e3:.0f} ms in all, "
            f"{first / step / WINDOW:.1%} of them; at an evaluation after {after * 1e3:.1f} ms"
        )


if __name__ == "__main__":
    main()
