"""What new contestants are held against, whether a comparison begins with them or they join one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import msgspec

from pegbox_methods.fence import one_line_of
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import BUNDLED_GENERAL
from pegbox_methods.refusal import Fault, Refusal
from pegbox_runs.arena.asking.rank_budget import sized
from pegbox_runs.arena.schedule import FACTORS, LEAST_ROWS_TO_PART
from pegbox_runs.arena.spec import MOST_CONTESTANTS, NAME
from pegbox_runs.judging.general import refuse_bad_general
from pegbox_runs.preflight import CheckedRecipe, FittingRecipe, check_method
from pegbox_runs.printable import one_line
from pegbox_runs.rows.loading import load_rows
from pegbox_runs.secrets import redactor

HIGHEST_RATE = 10.0
"""As the recipe allows."""
Found = TypeVar("Found")


def judged_recipe(recipe: Recipe) -> Recipe:
    """Let a recipe write down what a comparison needs.

    Forgetting is measured with the bundled general rows, unless the recipe says itself how it is to be judged.
    """
    judging = recipe.judging
    if not judging.rows:
        judging = msgspec.structs.replace(judging, rows=True, general=judging.general or BUNDLED_GENERAL)
    return msgspec.structs.replace(recipe, judging=judging)


def refuse_names(names: Mapping[str, Recipe]) -> None:
    """Refuse contestants that can't be called so, or are too many. Raises: Refusal."""
    if not 0 < len(names) <= MOST_CONTESTANTS:
        raise Refusal(f"{len(names)} contestants: a comparison has from 1 to {MOST_CONTESTANTS}.")
    for name in names:
        if not NAME.fullmatch(name):
            shown = one_line(name, 80)
            raise Refusal(f'"{shown}": a contestant\'s name has small letters, digits and hyphens, at most 40 of them.')


def checked_recipes(
    contestants: Mapping[str, Recipe], *, search: bool, cluster_gpus: bool | None = None
) -> dict[str, CheckedRecipe]:
    """Check the recipe of every contestant; their rows are the same, and looked through once.

    `cluster_gpus`: as for `check_method`.
    Raises: Refusal: with what is wrong with all of them, or with the rows.
    """

    def fitting(name: str) -> FittingRecipe:
        found = check_method(contestants[name], file=name, cluster_gpus=cluster_gpus)
        _refuse_unseen_base(found, name)
        if search:
            _refuse_high_rate(found.recipe, name)
        return found

    fit = _for_all(contestants, fitting)
    first = next(iter(fit.values()))
    rows = load_rows(first.recipe)
    _refuse_few_rows(len(rows.held_out), first.recipe)
    refuse_bad_general(first.recipe)
    return {name: one.with_rows(rows) for name, one in fit.items()}


def sized_recipes(
    checked: Mapping[str, CheckedRecipe], budget: int | None
) -> tuple[dict[str, CheckedRecipe], list[str]]:
    """Choose each contestant's rank for a budget of trainable weights; None: all stay as they are.

    Returns: (them, remarks).
    Raises: Refusal: with every contestant that can't be so small.
    """
    if budget is None:
        return dict(checked), []
    if budget < 1:
        raise Refusal(f"--rank-budget {budget}: expected a number of trainable weights, from 1 on.")

    def chosen(name: str) -> tuple[CheckedRecipe, str]:
        one = checked[name]
        if one.model.shape is None:
            raise Refusal(f"--rank-budget: {one_line(one.model.name, 80)} has a shape that isn't known; leave it out.")
        found = sized(name, one.card, one.recipe.method.settings, one.model.shape, budget)
        method = msgspec.structs.replace(one.recipe.method, settings=found.settings)
        recipe = msgspec.structs.replace(one.recipe, method=method)
        return CheckedRecipe(recipe, one.card, one.model, one.rows), found.remark

    both = _for_all(checked, chosen)
    return {name: one for name, (one, _) in both.items()}, [remark for _, remark in both.values() if remark]


def least_steps(checked: Mapping[str, CheckedRecipe]) -> dict[str, int]:
    """Give the steps that each contestant's method needs at least. Raises: Refusal: a card breaks on its settings."""

    def needed(name: str) -> int:
        one = checked[name]
        try:
            return one.card.steps_needed(one.recipe.method.settings)
        except Exception as error:
            raise Refusal(f"{name}: its card can't tell how many steps it needs: {one_line_of(error)}.") from error

    return _for_all(checked, needed)


def rows_remarks(held_out: int, *, search: bool) -> Iterator[str]:
    """Say what so few held-out rows mean."""
    if held_out < LEAST_ROWS_TO_PART:
        by = ", and learning rates are chosen by the same rows" if search else ""
        yield (
            f"Only {held_out} rows are held out: differences must be large to be told from chance{by}. Hold out "
            f"{LEAST_ROWS_TO_PART} or more (split.share, split.file) if you can."
        )


def without_tokens(recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Take access tokens out of what will be written: `[hidden]` is in their place."""
    return {
        name: msgspec.json.decode(redactor().without_tokens(msgspec.json.encode(recipe)), type=Recipe)
        for name, recipe in recipes.items()
    }


def _refuse_few_rows(held_out: int, recipe: Recipe) -> None:
    if held_out > 1:
        return
    found = "one row is" if held_out else "no rows are"
    now = "" if recipe.split.file else f", now {recipe.split.share:g}"
    raise Refusal(
        f"{one_line(recipe.rows.file, 200)}: {found} held out, and held-out rows alone say which method is better: "
        f"nothing could be told. Hold out more (split.share{now}), or name rows of their own as split.file: "
        f"{LEAST_ROWS_TO_PART} or more of them."
    )


def _refuse_unseen_base(found: FittingRecipe, name: str) -> None:
    """Refuse what couldn't be judged: each process holds a part of the base model, and the method changes that."""
    if found.recipe.devices.shards and "base" in found.card.cannot:
        fault = Fault(
            file=name,
            key="devices.engine",
            value="'fsdp2'",
            problem=f'no process holds the whole base model, and the method "{found.card.name}" leaves none below it '
            f"({found.card.cannot['base']}), so no training could be judged where it ends, and a comparison is made of "
            "that. Take 'ddp' and a base model that fits on one device, or train each with `pegbox train` and hold "
            "them against each other with `pegbox evaluate`",
        )
        raise Refusal(str(fault), faults=(fault,))


def _refuse_high_rate(recipe: Recipe, name: str) -> None:
    rate = recipe.training.learning_rate or 0.0
    if rate * max(FACTORS) > HIGHEST_RATE:
        most = HIGHEST_RATE / max(FACTORS)
        fault = Fault(
            file=name,
            key="training.learning_rate",
            value=f"{rate:g}",
            problem=f"a search tries {max(FACTORS):g} times as much too, and {HIGHEST_RATE:g} is the most; expected at "
            f"most {most:.3g}, or no search",
        )
        raise Refusal(str(fault), faults=(fault,))


def _for_all(names: Mapping[str, object], find: Callable[[str], Found]) -> dict[str, Found]:
    """Find something for each contestant, and collect what is refused of any.

    Raises: Refusal: with each sentence once, and of whom it was said.
    """
    found: dict[str, Found] = {}
    refused: dict[str, list[str]] = {}
    faults: list[Fault] = []
    for name in names:
        try:
            found[name] = find(name)
        except Refusal as refusal:
            refused.setdefault(refusal.sentence, []).append(name)
            faults += refusal.faults
    if not refused:
        return found
    told = [_whose(sentence, by, everybody=len(by) == len(names)) for sentence, by in refused.items()]
    raise Refusal("\n".join(told), faults=faults)


def _whose(sentence: str, names: list[str], *, everybody: bool) -> str:
    """Say of whom a sentence was said, where it doesn't say that itself and isn't of all."""
    said = all(line.startswith(f"{names[0]}: ") for line in sentence.splitlines())
    return sentence if said or everybody else f"{', '.join(names)}: {sentence}"
