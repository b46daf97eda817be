"""Held-out questions that a model answers greedily, so that only the model makes a difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from pegbox_runs.rows.example import Completion, Example
from pegbox_worker.sharded import is_sharded
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
        self._ends = {tokenizer.eos_token_id, *ends}
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
                **greedily(tokens=self.tokens, padding=self._tokenizer.pad_token_id, ends=self._ends),
                synced_gpus=is_sharded(model),  # whose answer ends first goes on with the others: a pass takes them all
            )
        return str(self._tokenizer.decode(output[0, len(question.ids) :], skip_special_tokens=True)).strip()


def greedily(*, tokens: int, padding: int, ends: Set[int]) -> dict[str, Any]:
    """Give what `generate` is told so that it takes the likeliest token each time, whatever the model's
    generation_config says: everyone who lets a model answer tells it this, or the answers aren't the same.

    Who samples replaces do_sample, temperature, top_p and top_k. `tokens`, `padding`, `ends`: as `answers` has them.
    """
    return {
        **_LEFT_ASIDE,
        "max_new_tokens": tokens,
        "do_sample": False,
        "num_beams": 1,
        "use_cache": True,
        "pad_token_id": padding,
        "eos_token_id": sorted(ends),
    }


_LEFT_ASIDE: dict[str, Any] = {
    # Each value is the one that switches the setting off: None itself, where that doesn't mean "as the model's
    # generation_config has it".
    "temperature": None,
    "top_p": None,
    "top_k": None,
    "min_p": None,
    "typical_p": None,
    "epsilon_cutoff": None,
    "eta_cutoff": None,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
    "min_length": 0,
    "min_new_tokens": None,
    "bad_words_ids": None,
    "sequence_bias": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "exponential_decay_length_penalty": None,
    "guidance_scale": None,
    "watermarking_config": None,
    "stop_strings": None,
    "num_return_sequences": 1,
}


def no_questions(row: str) -> str:
    """Say that there's nothing to answer, so that measures of answers don't drop out silently. `row`: which kind."""
    return (
        f"no {row} has a question that leaves room for an answer of evaluation.sample_tokens within training.length, "
        "so there are no answers to measure."
    )


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
