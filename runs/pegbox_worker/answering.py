"""Greedy answers to many prompts, a batch at a time.

A batch is padded on the left, and each token of it costs one pass over the model for all its rows. Prompts of about
the same length go together; the longest go first, so that memory that doesn't suffice shows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from itertools import groupby
from typing import Any

import torch

from pegbox_worker.memory import free_unused
from pegbox_worker.out_of_memory import OutOfMemoryAt, is_out_of_memory
from pegbox_worker.questions import greedily, resting


def answers(
    model: Any,
    prompts: Sequence[list[int]],
    *,
    tokens: int,
    padding: int,
    ends: Set[int],
    batch: int,
    device: torch.device,
    on_done: Callable[[int], None] | None = None,
) -> list[list[int]]:
    """Let a model go on from each prompt, always by its likeliest token; what its generation_config says of penalties
    and sampling is left aside.

    `tokens`: how many each answer may have. `ends`: the tokens that end one; such a token is the last of its answer.
    `padding`: any token. `batch`: how many prompts at once; where memory runs out, half as many are taken from there
    on. `on_done` hears how many prompts are answered. The caller opens autocast, if the model is to compute under it.

    Returns: the new tokens of each prompt, in the order of the prompts.
    Raises: OutOfMemoryAt: a single prompt is too much.
    """
    found: dict[int, list[int]] = {}
    with resting(model), torch.no_grad():
        for same in _runs(model, prompts):
            while same:
                places = same[:batch]
                batched = [prompts[place] for place in places]
                given = _given(model, batched, tokens=tokens, padding=padding, ends=ends, device=device)
                if given is None:
                    batch = max(1, len(places) // 2)
                    free_unused()
                    continue
                found.update(zip(places, given, strict=True))
                same = same[batch:]
                if on_done is not None:
                    on_done(len(found))
    return [found[place] for place in range(len(prompts))]


def _runs(model: Any, prompts: Sequence[list[int]]) -> Iterator[list[int]]:
    """Give the places of prompts that may share a batch, the longest first.

    A prompt that was learned stands before the padding, and PEFT then counts positions as if there were none: such a
    model gets only prompts of one length together.
    """
    order = sorted(range(len(prompts)), key=lambda place: -len(prompts[place]))
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        for _, same in groupby(order, key=lambda place: len(prompts[place])):
            yield list(same)
    else:
        yield order


def _given(
    model: Any, prompts: list[list[int]], *, tokens: int, padding: int, ends: Set[int], device: torch.device
) -> list[list[int]] | None:
    """Answer one batch; None: memory ran out, and there are fewer to be tried.

    Raises: OutOfMemoryAt.
    """
    longest = max(map(len, prompts))
    ids = torch.tensor([[padding] * (longest - len(prompt)) + prompt for prompt in prompts], device=device)
    seen = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    try:
        output = model.generate(
            input_ids=ids,
            attention_mask=seen,
            **greedily(tokens=tokens, padding=padding, ends=ends),
        )
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        if len(prompts) > 1:
            return None
        doing = f"an answer of at most {tokens} tokens to a question of {longest}"
        raise OutOfMemoryAt("answering questions", doing) from error
    return [_until_end(row, ends) for row in output[:, longest:].tolist()]


def _until_end(row: list[int], ends: Set[int]) -> list[int]:
    """Leave out what pads a row whose answer ended before its neighbours'."""
    for place, token in enumerate(row):
        if token in ends:
            return row[: place + 1]
    return row
