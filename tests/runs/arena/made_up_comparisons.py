"""Comparisons and outcomes that nobody trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pegbox_methods.recipe import Method, Model, Recipe, Rows, Training
from pegbox_methods.recipe_file import write_recipe
from pegbox_runs.arena.comparison_folder import ComparisonFolder, comparisons_root
from pegbox_runs.arena.entries import Entry, Outcome
from pegbox_runs.arena.schedule import due
from pegbox_runs.arena.spec import Asked, Comparison, Paced, write_comparison
from pegbox_runs.judging.judged import Judged, Judgement, RowLosses
from tests.stories import environment


def comparison(
    *names: str,
    seeds: Sequence[int] = (1,),
    paced: int | None = None,
    rates: dict[str, float] | None = None,
    **asked: Any,
) -> Comparison:
    """One of contestants that all train with LoRA, at 1e-3 unless `rates` says otherwise."""
    recipes = {
        name: Recipe(
            model=Model(name="bundled"),
            rows=Rows(file="/rows.jsonl"),
            method=Method(name="lora", settings={"rank": 8}),
            training=Training(learning_rate=(rates or {}).get(name, 1e-3)),
        )
        for name in names
    }
    given: dict[str, Any] = {"steps": 80, "trial_steps": 10, **asked}
    return Comparison(
        Asked(contestants=names, seeds=tuple(seeds), **given),
        recipes,
        None if paced is None else Paced(steps=paced, seconds=1.0),
    )


def losses(*nats: float, tokens: int = 10) -> RowLosses:
    """Rows of ten labelled tokens each."""
    return RowLosses(nats=nats, tokens=(tokens,) * len(nats))


def done(entry: Entry, after: RowLosses, before: RowLosses | None = None, **figures: Any) -> Outcome:
    """An entry that came to its end."""
    start = before or RowLosses(nats=(30.0,) * len(after.nats), tokens=after.tokens)
    judged = Judged(
        before=Judgement(held_out=start), after=Judgement(held_out=after), kept_step=entry.steps, seconds=0.1
    )
    return Outcome(entry=entry, state="done", judged=judged, **figures)


def failed(entry: Entry, why: str = "it broke", **figures: Any) -> Outcome:
    """An entry that ended without its result."""
    return Outcome(entry=entry, state="failed", why=why, **figures)


def played(
    game: Comparison, play: Callable[[Entry], Outcome], most: int = 1000
) -> tuple[dict[str, Outcome], list[Entry]]:
    """Run a comparison to its end, one entry at a time. Returns: the outcomes, and the entries in their order."""
    outcomes: dict[str, Outcome] = {}
    order: list[Entry] = []
    while (next_ones := due(game, outcomes)) and len(order) < most:
        entry = next_ones[0]
        outcomes[entry.id] = play(entry)
        order.append(entry)
    return outcomes, order


def made(
    *names: str, seeds: Sequence[int] = (1,), id_: str = "20260101-000000-compare-abcd", **asked: Any
) -> ComparisonFolder:
    """Make the folder of a comparison that nobody carries yet."""
    game = comparison(*(names or ("lora", "dora")), seeds=seeds, **{"steps": 12, "trial_steps": 3, **asked})
    recipes = {
        name: msgspec.structs.replace(recipe, output=msgspec.structs.replace(recipe.output, note=name))
        for name, recipe in game.recipes.items()
    }
    folder = ComparisonFolder(comparisons_root() / id_)
    folder.path.mkdir(mode=0o700, parents=True)
    for empty in (folder.events, folder.commands, folder.log):
        empty.touch(mode=0o600)
    write_recipe(next(iter(recipes.values())), folder.recipe)
    folder.environment.write_bytes(msgspec.json.encode(environment()))
    write_comparison(game.asked, recipes, folder)
    return folder
