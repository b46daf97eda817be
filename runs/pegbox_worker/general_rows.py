"""The rows by which forgetting is measured, as a run's model sees them."""

from __future__ import annotations

import copy
from collections.abc import Set
from typing import Any

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.judging.general import PLAIN_TEMPLATE, find_general, general_recipe, of_general
from pegbox_worker.prepared import prepare
from pegbox_worker.token_rows import TokenRows


def no_general_rows(length: int) -> str:
    """Say that there are none to judge by within `length` tokens, so that the measure doesn't drop out silently."""
    return f"no general row has a token to learn within training.length = {length}: forgetting isn't measured."


def general_rows(recipe: Recipe, tokenizer: Any, ends: Set[int]) -> TokenRows | None:
    """Tokenize the general rows by the run's own template; None: there are none, or nothing of them is learned.

    A model without a template, and one whose template can't write such rows, sees them as plain text.
    Raises: Refusal.
    """
    general = general_recipe(recipe)
    if general is None:
        return None
    found = find_general(general)
    plain = copy.copy(tokenizer)
    plain.chat_template = PLAIN_TEMPLATE

    def written(by: Any) -> TokenRows:
        return prepare(general, found, by, ends, lambda *_: None).trained

    try:
        rows = written(tokenizer if tokenizer.chat_template else plain)
    except Refusal as refusal:
        try:
            rows = written(plain)
        except Refusal:
            raise of_general(refusal) from None
    return rows if len(rows) else None
