"""The form in which a run was asked while it was trained: with a template or without, with which words before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line, printable
from pegbox_runs.rows.example import Conversation, Example
from pegbox_runs.rows.first_look import must_be_fetched
from pegbox_runs.rows.formats import Unfit, reader, understand
from pegbox_runs.rows.place import RawRow
from pegbox_runs.rows.reading import read_source
from pegbox_runs.rows.source import find_source

ROWS = 64
"""The first of them tell."""
PASSED_OVER = 10_000
"""Rows in the search for readable ones."""


@dataclass(frozen=True)
class AsTrained:
    """How a run's rows ask."""

    templated: bool
    """Whether they are conversations, which the model's chat template renders; else plain text, as it stands."""
    system: str = ""
    """What each of them says first, as the system; empty: nothing, or not all say the same."""
    unsure: str = ""
    """Why the rows couldn't be looked at; empty: they could."""


def as_trained(recipe: Recipe) -> AsTrained:
    """Look at a run's first rows. Where they are gone, conversations are taken for granted, and that is told."""
    try:
        if must_be_fetched(recipe.rows):
            raise Refusal("they would have to be fetched from the Hub")
        examples = _first_rows(recipe)
    except (Refusal, OSError) as error:
        said = error.sentence if isinstance(error, Refusal) else str(error)
        why = f"The rows that it was trained on can't be looked at ({one_line(said, 160)})"
        return AsTrained(templated=True, unsure=f"{why}: it is taken for one that was trained with its chat template.")
    return AsTrained(templated=any(isinstance(example, Conversation) for example in examples), system=_system(examples))


def _first_rows(recipe: Recipe) -> list[Example]:
    """Raises: Refusal, OSError."""
    found = islice(read_source(find_source(recipe.rows)), PASSED_OVER)
    raw = list(islice((item for item in found if isinstance(item, RawRow)), ROWS))
    read = reader(understand(raw, recipe.rows.format, recipe.rows.columns, source=printable(recipe.rows.file)))
    examples = []
    for row in raw:
        try:
            examples.append(read(row.fields))
        except Unfit:
            continue
    if not examples:
        raise Refusal(f"{printable(recipe.rows.file)}: none of its first rows can be read")
    return examples


def _system(examples: Sequence[Example]) -> str:
    """Give the words that all conversations begin with; empty: there are none such."""
    said = {
        example.messages[0].content if example.messages[0].role == "system" else ""
        for example in examples
        if isinstance(example, Conversation)
    }
    return said.pop() if len(said) == 1 else ""
