"""Recipes that are to be compared: collected one by one, kept until they are started, alike in all but the method."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pegbox_methods.home import home
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe, recipe_text
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.asking.fairness import differences
from pegbox_runs.arena.spec import MOST_CONTESTANTS
from pegbox_runs.printable import one_line
from pegbox_runs.whole_file import write_whole


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One recipe of the comparison."""

    name: str
    """Its file's name: the order in which they were added, and the method."""
    recipe: Recipe


def comparison_folder() -> Path:
    """Give the folder of the collected recipes. It may not exist."""
    return home() / "comparison"


def collected() -> tuple[tuple[Compared, ...], tuple[str, ...]]:
    """Read the collected recipes, in the order in which they were added.

    Returns: (them, a sentence for each file that can't be read).
    """
    found: list[Compared] = []
    said: list[str] = []
    for file in _files():
        try:
            found.append(Compared(name=file.name, recipe=read_recipe(file)))
        except Refusal as refusal:
            said.append(refusal.sentence)
    return tuple(found), tuple(said)


def add(recipe: Recipe) -> Compared:
    """Add a recipe to the comparison.

    Raises: Refusal: it can't be compared with those that are there, or is one of them, or can't be written.
    """
    there, _ = collected()
    if len(there) >= MOST_CONTESTANTS:
        raise Refusal(f"the comparison holds {MOST_CONTESTANTS} recipes already; start them, or take one out.")
    if there:
        _refuse_unlike(recipe, there[0])
    same = next((one for one in there if is_among(recipe, [one])), None)
    if same is not None:
        raise Refusal(f"the comparison holds this very recipe already, as {same.name}; change a setting first.")
    number = 1 + max((int(file.name[:2]) for file in _files()), default=0)
    method = re.sub(r"[^a-z0-9-]", "-", recipe.method.name)[:40]
    name = f"{number:02}-{method}.toml"
    try:
        comparison_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(comparison_folder() / name, recipe_text(recipe).encode())
    except OSError as error:
        raise Refusal(f"{comparison_folder()}: the recipe can't be kept: {error.strerror or error}.") from None
    return Compared(name=name, recipe=recipe)


def take_out(name: str) -> None:
    """Take a recipe out of the comparison; one that isn't there is no mistake.

    Raises: Refusal: it can't be removed.
    """
    if Path(name).name != name:
        raise Refusal(f"{one_line(name, 80)}: no recipe of the comparison has such a name.")
    try:
        (comparison_folder() / name).unlink(missing_ok=True)
    except OSError as error:
        raise Refusal(f"{name}: can't be taken out: {error.strerror or error}.") from None


def forget(names: tuple[str, ...]) -> None:
    """Take recipes out: they were started. Raises: Refusal: as `take_out`."""
    for name in names:
        take_out(name)


def is_among(recipe: Recipe, there: Iterable[Compared]) -> bool:
    """Tell whether a recipe is one of them, whatever its note says."""
    return any(_but_note(one.recipe) == _but_note(recipe) for one in there)


def _refuse_unlike(recipe: Recipe, first: Compared) -> None:
    found = list(differences(recipe, first.recipe))
    if found:
        told = "; ".join(
            f"{key} is {one_line(mine, 100)}, there it is {one_line(theirs, 100)}" for key, mine, theirs in found
        )
        raise Refusal(
            "the comparison's recipes must share model, rows, split, length, order, steps and batch, or their "
            f"losses can't be compared: {told}. Make it alike, or take the others out."
        )


def _but_note(recipe: Recipe) -> Recipe:
    return msgspec.structs.replace(recipe, output=msgspec.structs.replace(recipe.output, note=""))


def _files() -> list[Path]:
    try:
        found = list(comparison_folder().iterdir())
    except OSError:
        return []
    return sorted(file for file in found if re.fullmatch(r"\d\d-[a-z0-9-]{1,40}\.toml", file.name))
