"""Everything that can be refused before a run exists is refused here, and nothing is left behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pegbox_hardware.machine import probe
from pegbox_methods.card import Card
from pegbox_methods.recipe import Recipe, RowSource
from pegbox_methods.recipe_file import complete_recipe
from pegbox_methods.refusal import Refusal, refuse_faults
from pegbox_methods.registry import find_card
from pegbox_runs.conditions import conditions_here, conditions_on_cluster
from pegbox_runs.crew.lacking import lacking
from pegbox_runs.environment import Environment, describe, prints_of
from pegbox_runs.judging.general import refuse_bad_general
from pegbox_runs.misfits import misfits
from pegbox_runs.models import FoundModel, find_model
from pegbox_runs.rows.hub import commit_of
from pegbox_runs.rows.loading import FoundRows, FoundSource, LoadedRows, load_rows


@dataclass(frozen=True)
class CheckedRecipe:
    """A recipe whose method, model and rows were found and fit each other."""

    recipe: Recipe
    """With the method's defaults filled in."""
    card: Card
    model: FoundModel
    rows: LoadedRows

    def environment(self) -> Environment:
        """Describe what the run will stand on."""
        return describe(
            rows_sha256=self.rows.sha256,
            held_out_sha256=self.rows.held_out_sha256,
            base=prints_of(self.model, self.recipe.model),
        )


@dataclass(frozen=True)
class FittingRecipe:
    """A recipe whose method and model were found and fit each other; its rows weren't looked at."""

    recipe: Recipe
    """With the method's defaults filled in, and the model's commit written down."""
    card: Card
    model: FoundModel

    def with_rows(self, rows: LoadedRows) -> CheckedRecipe:
        """Put it together with its rows, which several recipes may share.

        Raises: Refusal: the model can't read rows of their form.
        """
        model = self.model
        if rows.conversational and self.recipe.model.chat_template is None and not model.has_template:
            raise Refusal(
                f"{model.name}: the tokenizer has no chat template, and the rows are conversations. Take the model's "
                "instruct variant, name a Jinja file as model.chat_template, or bring rows as prompt/completion or "
                "text."
            )
        return CheckedRecipe(_pinned_rows(self.recipe, rows.found), self.card, model, rows)


def check(recipe: Recipe, *, file: str, nodes: int = 1) -> CheckedRecipe:
    """Find what a recipe names, and see that it fits together.

    `file` is the name that faults are reported under; `nodes`: how many machines shall carry it, of which this is one.
    Raises: Refusal.
    """
    fitting = check_method(recipe, file=file, nodes=nodes)
    return fitting.with_rows(load_rows(fitting.recipe))


def check_method(recipe: Recipe, *, file: str, nodes: int = 1, cluster_gpus: bool | None = None) -> FittingRecipe:
    """Find a recipe's method and model, and see that they go together, here or on a cluster.

    `file`, `nodes`: as for `check`; `cluster_gpus`: whether the nodes of a cluster that shall carry it have GPUs, None:
    this machine carries it.
    Raises: Refusal.
    """
    card = find_card(recipe.method.name)
    full = complete_recipe(recipe, card, file=file)
    model = find_model(full.model)
    here = cluster_gpus is None
    given = conditions_here(model) if cluster_gpus is None else conditions_on_cluster(model, gpus=cluster_gpus)
    wrong = [*misfits(full, card, model, given, file=file)]
    if full.devices.launched and here:
        wrong += lacking(full, probe(), file=file, nodes=nodes)
    refuse_faults(wrong)
    _refuse_unreadable_template(full)
    refuse_bad_general(full)
    return FittingRecipe(_pinned(full, model), card, model)


def _refuse_unreadable_template(recipe: Recipe) -> None:
    named = recipe.model.chat_template
    if named is None:
        return
    try:
        Path(named).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"model.chat_template = {named}: can't be read as a UTF-8 text: {error}.") from None


def _pinned(recipe: Recipe, model: FoundModel) -> Recipe:
    """Write down which commit of a Hub model was found, so that the run can be repeated once its branch has moved."""
    if not model.from_hub or model.folder.parent.name != "snapshots":
        return recipe
    return msgspec.structs.replace(recipe, model=msgspec.structs.replace(recipe.model, revision=model.folder.name))


def _pinned_rows(recipe: Recipe, found: FoundRows) -> Recipe:
    """Write down which commit of each Hub data set was read; one that lies in files keeps what it says."""

    def pinned(source: RowSource, place: FoundSource) -> Any:
        commit = commit_of(place.source.folder)
        return source if commit is None else msgspec.structs.replace(source, revision=commit)

    mine, *mixed = map(pinned, (recipe.rows, *recipe.rows.mix), found.sources)
    split = recipe.split
    if found.held_out is not None and (commit := commit_of(found.held_out.source.folder)) is not None:
        split = msgspec.structs.replace(split, revision=commit)
    return msgspec.structs.replace(recipe, rows=msgspec.structs.replace(mine, mix=tuple(mixed)), split=split)
