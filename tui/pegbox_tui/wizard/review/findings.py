"""What would be refused of a recipe, each with the step of the wizard that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pegbox_methods.recipe import Model, Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.drafts import Draft, StepName
from pegbox_runs.models import find_model
from pegbox_runs.preflight import check
from pegbox_runs.rows.loading import load_rows
from pegbox_runs.setting_values import FILE, sentence_of

STEP_OF_TABLE: dict[str, StepName] = {"model": "model", "rows": "rows", "split": "rows"}
"""Of a fault's key; what isn't named here is a setting."""


class Finding(NamedTuple):
    """A sentence, and where it is mended."""

    text: str
    step: StepName


def findings(recipe: Recipe) -> tuple[Finding, ...]:
    """Check a recipe as a run's start would: some seconds, where the rows are many. Empty: it may start.

    The start ends at the first thing that is wrong; where that isn't the rows, they are looked at too.
    """
    try:
        check(recipe, file=FILE)
    except Refusal as refusal:
        if refusal.faults:
            found = tuple(Finding(sentence_of(fault), step_of(fault.key)) for fault in refusal.faults)
        else:
            found = (Finding(refusal.sentence, _step_without_key(recipe)),)
    except OSError as error:  # a file that vanished between two looks at it
        found = (Finding(_gone(error), _step_without_key(recipe)),)
    else:
        return ()
    return found if any(one.step == "rows" for one in found) else (*found, *_of_rows(recipe))


def with_faults(faults: Sequence[str], found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Put what is wrong with a draft's values before what was found in its recipe, which was made without them."""
    first = [Finding(said, step_of(said.partition(" ")[0].rstrip(":"))) for said in faults]
    return tuple(dict.fromkeys((*first, *found)))


def without_recipe(draft: Draft, trouble: str, *, has_model: bool) -> tuple[Finding, ...]:
    """Say what is to be mended of a draft that comes to no recipe; `trouble`: why it doesn't."""
    first = Finding(trouble, "settings" if has_model else "model")
    if draft.rows is None:
        return first, Finding("no rows are named yet.", "rows")
    recipe = Recipe(model=draft.model or Model(name="?"), rows=draft.rows, split=draft.split)
    return (first, *_of_rows(recipe))


def step_of(key: str) -> StepName:
    """Name the step in which a recipe's value is answered."""
    if key == "model.quantization":
        return "settings"
    return STEP_OF_TABLE.get(key.partition(".")[0].partition("[")[0], "settings")


def _of_rows(recipe: Recipe) -> Iterator[Finding]:
    """Say why a recipe's rows can't be read, whatever else is wrong with it."""
    try:
        load_rows(recipe)
    except Refusal as refusal:
        if refusal.faults:
            yield from (Finding(sentence_of(fault), step_of(fault.key)) for fault in refusal.faults)
        else:
            yield Finding(refusal.sentence, "rows")
    except OSError as error:
        yield Finding(_gone(error), "rows")


def _gone(error: OSError) -> str:
    return f"{error.filename or 'a file'}: {error.strerror or error}."


def _step_without_key(recipe: Recipe) -> StepName:
    """Tell a model that can't be found from rows that can't be read: what names no key is one of the two."""
    try:
        find_model(recipe.model)
    except (Refusal, OSError):
        return "model"
    return "rows"
