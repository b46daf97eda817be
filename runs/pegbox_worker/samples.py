"""Answers to a few held-out questions, before the training, on its way and after."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from pegbox_methods.events import Sample
from pegbox_methods.recipe import Evaluation
from pegbox_runs.event_log import EventWriter
from pegbox_runs.faults import strike
from pegbox_runs.rows.example import Completion, Example
from pegbox_worker.out_of_memory import OutOfMemoryAt, is_out_of_memory
from pegbox_worker.tokens import question_of


class Sampler:
    """Asks the same questions each time, and decodes greedily so that only the model makes a difference."""

    def __init__(
        self, examples: Sequence[Example], tokenizer: Any, evaluation: Evaluation, length: int, ends: Set[int]
    ) -> None:
        self._tokenizer = tokenizer
        self._ends = sorted({tokenizer.eos_token_id, *ends})
        self._tokens = evaluation.sample_tokens
        self._questions: list[tuple[str, list[int], str]] = []
        for example in examples:
            if len(self._questions) == evaluation.samples:
                break
            found = question_of(example, tokenizer)
            if found is None:
                continue
            question, prompt, expected = found
            ids = tokenizer(prompt, add_special_tokens=isinstance(example, Completion))["input_ids"]
            if len(ids) + self._tokens <= length:
                self._questions.append((question, ids, expected))

    def ask(self, model: nn.Module, step: int, writer: EventWriter) -> None:
        """Let the model answer each question, and tell the answers as events."""
        with _resting(model):
            for index, (question, ids, expected) in enumerate(self._questions):
                began = time.monotonic()
                with self._told(index, ids):
                    strike("sample", step=step)
                    answer = self._answer(model, ids)
                seconds = time.monotonic() - began
                writer.emit(
                    Sample(step=step, index=index, question=question, answer=answer, expected=expected, seconds=seconds)
                )

    @contextmanager
    def _told(self, index: int, ids: list[int]) -> Iterator[None]:
        """Say at which question memory ran out, so that a re-plan spares the training.

        Raises: OutOfMemoryAt.
        """
        try:
            yield
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            doing = f"an answer of at most {self._tokens} tokens to a question of {len(ids)}"
            raise OutOfMemoryAt(f"answering question {index + 1}", doing) from error

    def _answer(self, model: Any, ids: list[int]) -> str:
        device = next(model.parameters()).device
        prompt = torch.tensor([ids], device=device)
        with torch.no_grad():
            output = model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=self._tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                use_cache=True,
                pad_token_id=self._tokenizer.pad_token_id,
                eos_token_id=self._ends,
            )
        return str(self._tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True)).strip()


@contextmanager
def _resting(model: nn.Module) -> Iterator[None]:
    """Put every module into its mode for use, and afterwards back into the one it was in, each by itself."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
