"""What batches save an evaluation: rows a second, batched and cached, against a loop that takes one row at a time.

Goal: at least 3x the fair loop, which keeps a cache of keys and values too, as transformers' `generate` does by itself.
The naive loop, which reads the whole row again for each token, is shown beside it. Real questions, real answers; the
model answers all of them on each side, so that the very same work is compared. Rounds alternate between the sides, as
neighbours may be busy.

The model is SmolLM2-135M-Instruct; BENCH_MODEL=bundled takes the small one.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from pegbox_methods.recipe import Model
from pegbox_runs.models import find_model
from pegbox_worker.answering import answers
from pegbox_worker.assembly import loss_on_labels, quiet
from pegbox_worker.base_model import end_tokens, load_model, load_tokenizer
from pegbox_worker.evaluation.sides import answers_at_once
from pegbox_worker.precision import NumberFormat
from pegbox_worker.questions import Asker
from pegbox_worker.row_losses import in_use, losses_of_rows, score_as
from pegbox_worker.tokens import tokenize
from tests.alpaca import alpaca_rows
from tests.example_rows import examples_of
from tests.smollm2 import smollm2

CPU = torch.device("cpu")
FLOAT32 = NumberFormat("float32", torch.float32, torch.float32)
ROWS = int(os.environ.get("BENCH_ROWS", "48"))
NAIVE_ROWS = 6
"""The naive loop takes so long that few rows must do."""
TOKENS = int(os.environ.get("BENCH_TOKENS", "64"))
LENGTH = 512
BATCH = answers_at_once(CPU)
LOSS_BATCH = 8
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
GOAL = 3.0


class Bench:
    """A model, some rows, and each side's way with them."""

    def __init__(self) -> None:
        quiet()
        named = Model(name=os.environ.get("BENCH_MODEL") or str(smollm2()))
        found = find_model(named)
        self.model: Any = load_model(found, torch.float32, CPU).eval()
        self.tokenizer = load_tokenizer(found, named)
        self.ends = {self.tokenizer.eos_token_id, *end_tokens(self.model)}
        examples = examples_of(alpaca_rows())[:ROWS]
        asker = Asker(examples, self.tokenizer, count=ROWS, tokens=TOKENS, length=LENGTH, ends=self.ends)
        self.prompts = [question.ids for question in asker.questions]
        self.rows = tokenize(examples, self.tokenizer, LENGTH, self.ends)
        self.loss = loss_on_labels(self.model, self.rows, FLOAT32, CPU)

    def answered(self, batch: int, *, cached: bool = True) -> float:
        """Answer; returns rows a second."""
        prompts = self.prompts if cached else self.prompts[:NAIVE_ROWS]
        if not cached:
            return _rows_a_second(lambda: [self._uncached(prompt) for prompt in prompts], len(prompts))
        padding = self.tokenizer.pad_token_id
        return _rows_a_second(
            lambda: answers(
                self.model, prompts, tokens=TOKENS, padding=padding, ends=self.ends, batch=batch, device=CPU
            ),
            len(prompts),
        )

    def _uncached(self, prompt: list[int]) -> None:
        ids = torch.tensor([prompt])
        self.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=TOKENS,
            do_sample=False,
            use_cache=False,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=sorted(self.ends),
        )

    def scored(self, batch: int) -> float:
        """Compute each row's loss; returns rows a second."""

        def work() -> None:
            with in_use(self.model, torch.float32, CPU):
                losses_of_rows(
                    score_as(self.model, self.loss),
                    self.rows,
                    batch=batch,
                    padding=self.tokenizer.pad_token_id,
                    device=CPU,
                    name="evaluated",
                    interrupted=lambda: False,
                )

        return _rows_a_second(work, len(self.rows))


def _rows_a_second(work: Callable[[], object], rows: int) -> float:
    began = time.perf_counter()
    work()
    return rows / (time.perf_counter() - began)


def main() -> None:
    bench = Bench()
    sides: dict[str, Callable[[], float]] = {
        "answers, batched": lambda: bench.answered(BATCH),
        "answers, one by one": lambda: bench.answered(1),
        "answers, one by one without a cache": lambda: bench.answered(1, cached=False),
        "losses, batched": lambda: bench.scored(LOSS_BATCH),
        "losses, one by one": lambda: bench.scored(1),
    }
    bench.scored(LOSS_BATCH)  # buffers grow, caches fill
    rounds = [{name: work() for name, work in sides.items()} for _ in range(ROUNDS)]
    print(
        f"{len(bench.prompts)} questions of {statistics.median(map(len, bench.prompts)):.0f} tokens (median), answers "
        f"up to {TOKENS}, {BATCH} at once; {len(bench.rows)} rows scored {LOSS_BATCH} at once; {ROUNDS} rounds, "
        f"{torch.get_num_threads()} threads"
    )
    for name in sides:
        print(f"{name:38}{statistics.median(one[name] for one in rounds):8.2f} rows/s")

    def ratio(one: str, other: str) -> float:
        return statistics.median(found[one] / found[other] for found in rounds)

    fair = ratio("answers, batched", "answers, one by one")
    print(f"answers: {fair:.2f}x the loop with a cache (goal {GOAL:g}x)", end="; ")
    print(f"{ratio('answers, batched', 'answers, one by one without a cache'):.1f}x the one without")
    print(f"losses: {ratio('losses, batched', 'losses, one by one'):.2f}x one by one")


if __name__ == "__main__":
    main()
