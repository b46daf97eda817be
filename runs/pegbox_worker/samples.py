"""Answers to a few held-out questions, before the training, on its way and after."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any

from torch import nn

from pegbox_methods.events import Sample
from pegbox_methods.recipe import Evaluation
from pegbox_runs.event_log import EventWriter
from pegbox_runs.faults import strike
from pegbox_runs.rows.example import Example
from pegbox_worker.out_of_memory import OutOfMemoryAt, is_out_of_memory
from pegbox_worker.questions import Asker, resting


class Sampler:
    """Asks the same questions each time, and decodes greedily so that only the model makes a difference."""

    def __init__(
        self, examples: Sequence[Example], tokenizer: Any, evaluation: Evaluation, length: int, ends: Set[int]
    ) -> None:
        self._asker = Asker(
            examples,
            tokenizer,
            count=evaluation.samples,
            tokens=evaluation.sample_tokens,
            length=length,
            ends=ends,
        )

    def ask(self, model: nn.Module, step: int, writer: EventWriter) -> None:
        """Let the model answer each question, and tell the answers as events."""
        with resting(model):
            for index, question in enumerate(self._asker.questions):
                began = time.monotonic()
                with self._told(index, question.ids):
                    strike("sample", step=step)
                    answer = self._asker.answer(model, question)
                writer.emit(
                    Sample(
                        step=step,
                        index=index,
                        question=question.text,
                        answer=answer,
                        expected=question.expected,
                        seconds=time.monotonic() - began,
                    )
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
            doing = f"an answer of at most {self._asker.tokens} tokens to a question of {len(ids)}"
            raise OutOfMemoryAt(f"answering question {index + 1}", doing) from error
