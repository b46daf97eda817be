"""What must be alike for two trainings' losses to mean the same; all else is a contestant's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Fault, Refusal
from pegbox_runs.printable import one_line

SHARED_TRAINING = ("length", "order", "epochs", "max_steps", "schedule", "warmup")
"""Of the table [training]; rate, weight decay, optimizer, precision and the like are a contestant's own."""
WIDTH = 100
"""Characters of a value in a sentence."""


def differences(one: Recipe, other: Recipe) -> Iterator[tuple[str, str, str]]:
    """Name what must be alike, and isn't.

    Yields: (key, the one's value, the other's). How a method holds the base model is its own business, and so is how
    it parts an effective batch.
    """
    for (key, mine), (_, theirs) in zip(_shared(one), _shared(other), strict=True):
        if mine != theirs:
            yield key, str(mine), str(theirs)


def refuse_unlike(contestants: Sequence[tuple[str, Recipe]]) -> None:
    """Refuse recipes that can't be compared with the first one.

    Each comes with the name of its file, or its own. Raises: Refusal: with every difference found.
    """
    if not contestants:
        return
    first, shared = contestants[0]
    faults = [
        Fault(
            file=one_line(file, WIDTH),
            key=key,
            value=one_line(mine, WIDTH),
            problem=f"in {one_line(first, WIDTH)} it is {one_line(theirs, WIDTH)}",
        )
        for file, recipe in contestants[1:]
        for key, mine, theirs in differences(recipe, shared)
    ]
    if faults:
        told = "\n".join(map(str, faults))
        raise Refusal(
            f"these recipes can't be compared: their losses wouldn't mean the same.\n{told}\nMake them alike, or "
            "compare them apart. A method, its settings, its learning rate, optimizer, regularisation and number "
            "formats may differ.",
            faults=faults,
        )


def on_the_same_commits(recipe: Recipe, shared: Recipe) -> Recipe:
    """Give a recipe that names no commit of its model or rows those that another one was pinned to."""
    replace = msgspec.structs.replace
    sources = (recipe.rows, *recipe.rows.mix), (shared.rows, *shared.rows.mix)
    rows, *mix = (
        _pinned(source, sources[1][place]) if place < len(sources[1]) else source
        for place, source in enumerate(sources[0])
    )
    return replace(
        recipe,
        model=_pinned(recipe.model, shared.model) if recipe.model.name == shared.model.name else recipe.model,
        rows=replace(rows, mix=tuple(mix)),
        split=_pinned(recipe.split, shared.split) if recipe.split.file is not None else recipe.split,
    )


def _pinned(part: Any, shared: Any) -> Any:
    same = getattr(part, "file", None) == getattr(shared, "file", None)
    wanted = part.revision is None and same and shared.revision is not None
    return msgspec.structs.replace(part, revision=shared.revision) if wanted else part


def _shared(recipe: Recipe) -> Iterator[tuple[str, object]]:
    """Give each key that must be alike with its value, in the same order for every recipe."""
    tables = {"model": recipe.model, "rows": recipe.rows, "split": recipe.split, "judging": recipe.judging}
    for table, part in tables.items():
        for key, value in msgspec.to_builtins(part).items():
            if (table, key) != ("model", "quantization"):
                yield f"{table}.{key}", value
    training = recipe.training
    for key in SHARED_TRAINING:
        yield f"training.{key}", getattr(training, key)
    yield "training.micro_batch x training.accumulation", training.micro_batch * training.accumulation
    yield "evaluation.every", recipe.evaluation.every
    # Answers that are measured must be as long as each other's; the others are only shown.
    yield "evaluation.sample_tokens", recipe.evaluation.sample_tokens if recipe.judging.metrics else None
    yield "seeds.split", recipe.seeds.split
