"""Made-up rows for the probe, in the order in which its steps take them."""

from __future__ import annotations

from typing import Any

import torch

from pegbox_methods.recipe import Recipe
from pegbox_runs.measured import PartName
from pegbox_runs.rows.masking import IGNORED
from pegbox_worker.token_rows import TokenRows

STEPS: tuple[PartName, ...] = (
    *("worst shape",) * 3,
    *("mixed lengths",) * 3,  # these leave the allocator's cache in pieces
    "worst shape again",
)
"""What each optimizer step of the probe belongs to."""
SEED = 0
SHORTEST_SHARE = 8
"""The shortest mixed row is this part of the longest one."""


def probe_rows(recipe: Recipe, vocabulary: list[int]) -> TokenRows:
    """Make the rows of all steps: so many for each as a step takes. Every token but the first carries a label."""
    chance = torch.Generator().manual_seed(SEED)
    training = recipe.training
    lengths: list[int] = []
    for part in STEPS:
        for _ in range(training.accumulation):
            if part == "mixed lengths":
                lengths += _mixed(training.micro_batch, training.length, chance)
            else:
                lengths += worst_shape(training.micro_batch, training.length)
    return _rows(lengths, vocabulary, chance)


def evaluation_rows(recipe: Recipe, vocabulary: list[int]) -> TokenRows:
    """Make the rows of one evaluation batch, all at full length."""
    chance = torch.Generator().manual_seed(SEED + 1)
    return _rows(worst_shape(recipe.evaluation_batch, recipe.training.length), vocabulary, chance)


def worst_shape(micro_batch: int, length: int) -> list[int]:
    """Give the lengths of a micro-batch that takes the most memory.

    One row lacks a token: without any padding transformers leaves the mask out, and attention with one takes more.
    """
    return [length] * (micro_batch - 1) + [length - 1] if micro_batch > 1 else [length]


def ordinary_tokens(tokenizer: Any, embedded: int) -> list[int]:
    """List the tokens of plain text; special ones may mean an image, or padding.

    `embedded`: how many tokens the model has an embedding for.
    """
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    known = range(min(len(tokenizer), embedded))
    return [token for token in known if token not in special] or list(known)


def _mixed(micro_batch: int, length: int, chance: torch.Generator) -> list[int]:
    shortest = max(2, length // SHORTEST_SHARE)
    drawn: list[int] = torch.randint(shortest, length, (micro_batch,), generator=chance).tolist()
    return drawn


def _rows(lengths: list[int], vocabulary: list[int], chance: torch.Generator) -> TokenRows:
    input_ids = [
        [vocabulary[place] for place in torch.randint(len(vocabulary), (length,), generator=chance).tolist()]
        for length in lengths
    ]
    labels = [[IGNORED, *ids[1:]] for ids in input_ids]
    return TokenRows.of(input_ids, labels)
