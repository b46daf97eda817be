"""Rows that have nothing to do with a run's task, by which forgetting is measured."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pegbox_methods.recipe import Allowed, Judging, Recipe, Rows, Seeds, Split
from pegbox_methods.recipe_file import BUNDLED_GENERAL
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.loading import FoundRows, find_rows, load_rows

GENERAL_ROWS = Path(__file__).parent / "general.jsonl"
"""Facts, small reasoning, everyday language, code and some languages: our own words, under Pegbox' licence."""
PLAIN_TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}"
    "{% if not loop.last %}{{ '\n' }}{% endif %}"
    "{% else %}{{ message.content + '\n' }}{% endif %}{% endfor %}"
)
"""For a model without a template of its own: question and answer as plain text, a line each."""


def general_recipe(recipe: Recipe) -> Recipe | None:
    """Give the recipe by which the general rows are read, as the run's own are: same model, same cut, none held out.

    None: there are none to be judged by.
    """
    asked = recipe.judging.general
    if not recipe.judging.rows or asked is None:
        return None
    allow: tuple[Allowed, ...] = ("rejected-rows", "untrained-rows", "few-trained-tokens", "end-not-learned")
    return msgspec.structs.replace(
        recipe,
        rows=Rows(file=str(GENERAL_ROWS) if asked == BUNDLED_GENERAL else asked, allow=allow),
        split=Split(share=0.0),
        training=msgspec.structs.replace(recipe.training, order="shuffled"),
        judging=Judging(),
        seeds=Seeds(),
    )


def find_general(recipe: Recipe) -> FoundRows:
    """Find the files of a recipe that `general_recipe` gave.

    Raises: Refusal.
    """
    try:
        return find_rows(recipe)
    except Refusal as refusal:
        raise of_general(refusal) from None


def refuse_bad_general(recipe: Recipe) -> None:
    """See that a run's general rows are there and can be read.

    Raises: Refusal.
    """
    general = general_recipe(recipe)
    if general is None or general.rows.file == str(GENERAL_ROWS):
        return
    found = find_general(general)
    try:
        load_rows(general, found)
    except Refusal as refusal:
        raise of_general(refusal) from None


def of_general(refusal: Refusal) -> Refusal:
    """Say of a refusal that it is the general rows', not the run's own."""
    return Refusal(f"judging.general: {refusal.sentence}")
