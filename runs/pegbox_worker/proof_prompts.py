"""The real prompts on which a run's model is proven: its held-out rows, filled up from the general ones."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec

from pegbox_methods.recipe import Judging, Recipe
from pegbox_methods.recipe_file import BUNDLED_GENERAL
from pegbox_methods.refusal import Refusal
from pegbox_runs.exporting.needs import ANSWER_TOKENS, LONGEST, PROMPTS
from pegbox_runs.judging.general import PLAIN_TEMPLATE, find_general, general_recipe
from pegbox_runs.rows.example import Conversation, Example, PlainText
from pegbox_runs.rows.loading import load_rows
from pegbox_runs.tuned import TunedRun
from pegbox_worker.tokens import question_of

LOOKED_AT = 4096
"""Held-out rows that are looked at for short enough ones."""


def proof_examples(run: TunedRun, tokenizer: Any, count: int = PROMPTS) -> list[Example]:
    """Choose what to prove a model with: held-out rows of its run, filled up from the general rows.

    Rows that are gone, and ones that the template can't write, are left out.
    """
    most = min(LONGEST, (run.model.positions or LONGEST + ANSWER_TOKENS) - ANSWER_TOKENS)
    chosen: list[Example] = []
    for example in chain(_held_out(run.recipe), _general(run.recipe)):
        if len(chosen) == count:
            break
        try:
            ids = _ids(example, tokenizer)
        except Refusal:
            continue
        if 0 < len(ids) <= most:
            chosen.append(example)
    return chosen


def render(examples: Sequence[Example], tokenizer: Any) -> list[list[int]]:
    """Give the prompts that rows ask with, in tokens, by the tokenizer's own template.

    Raises: Refusal: its template fails on one.
    """
    return [_ids(example, tokenizer) for example in examples]


def proof_prompts(run: TunedRun, tokenizer: Any, count: int = PROMPTS) -> list[list[int]]:
    """Give the prompts to prove a run's model with, by the run's template, each short enough for an answer."""
    return render(proof_examples(run, tokenizer, count), tokenizer)


def _ids(example: Example, tokenizer: Any) -> list[int]:
    """Raises: Refusal."""
    if isinstance(example, PlainText):
        ids: list[int] = tokenizer(example.text)["input_ids"]
        return ids[: min(LONGEST // 4, (len(ids) + 1) // 2)]  # it shall go on with a text that it has begun
    talks = isinstance(example, Conversation)
    if talks and tokenizer.chat_template is None:
        tokenizer = copy.copy(tokenizer)
        tokenizer.chat_template = PLAIN_TEMPLATE
    found = question_of(example, tokenizer)
    return [] if found is None else list(tokenizer(found[1], add_special_tokens=not talks)["input_ids"])


def _held_out(recipe: Recipe) -> Iterator[Example]:
    """Walk through the held-out rows; where the run's file is gone, there are none."""
    try:
        rows = load_rows(recipe).held_out
        yield from (example for _, example in zip(range(LOOKED_AT), rows, strict=False))
    except (Refusal, OSError):
        return


def _general(recipe: Recipe) -> Iterator[Example]:
    judging = Judging(rows=True, general=BUNDLED_GENERAL)
    general = general_recipe(msgspec.structs.replace(recipe, judging=judging))
    if general is not None:
        yield from load_rows(general, find_general(general)).trained
