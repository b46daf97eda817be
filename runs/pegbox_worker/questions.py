"""Held-out questions that a model answers greedily, so that only the model makes a difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from pegbox_runs.rows.example import Completion, Example
from pegbox_worker.tokens import question_of


class Question(NamedTuple):
    """What a row asks."""

    text: str
    """The last thing the user says."""
    ids: list[int]
    """The whole prompt in tokens, with the header of an answer behind it."""
    expected: str
    """What the row answers."""


class Asker:
    """Knows the first questions of some rows, and asks the same ones each time.

    A question that leaves no room for an answer of `tokens` tokens within `length` is left out, and so is plain text.
    """

    def __init__(
        self, examples: Sequence[Example], tokenizer: Any, *, count: int, tokens: int, length: int, ends: Set[int]
    ) -> None:
        self.tokens = tokens
        self._tokenizer = tokenizer
        self._ends = sorted({tokenizer.eos_token_id, *ends})
        self.questions: list[Question] = []
        for example in examples:
            if len(self.questions) == count:
                break
            found = question_of(example, tokenizer)
            if found is None:
                continue
            question, prompt, expected = found
            ids = tokenizer(prompt, add_special_tokens=isinstance(example, Completion))["input_ids"]
            if len(ids) + tokens <= length:
                self.questions.append(Question(question, ids, expected))

    def answer(self, model: Any, question: Question) -> str:
        """Let a model answer; its modules are in the mode for use."""
        device = next(model.parameters()).device
        prompt = torch.tensor([question.ids], device=device)
        with torch.no_grad():
            output = model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=self.tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                use_cache=True,
                pad_token_id=self._tokenizer.pad_token_id,
                eos_token_id=self._ends,
            )
        return str(self._tokenizer.decode(output[0, len(question.ids) :], skip_special_tokens=True)).strip()


@contextmanager
def resting(model: nn.Module) -> Iterator[None]:
    """Put every module into its mode for use, and afterwards back into the one it was in, each by itself."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
