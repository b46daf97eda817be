"""Everything that can be refused before a run exists is refused here, and nothing is left behind."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from pegbox_methods.card import Card
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import complete_recipe
from pegbox_methods.refusal import Fault, Refusal, refuse_faults
from pegbox_methods.registry import find_card
from pegbox_runs.environment import Environment, describe
from pegbox_runs.models import FoundModel, find_model
from pegbox_runs.printable import printable
from pegbox_runs.rows.loading import LoadedRows, load_rows


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
            model_sha256=self.model.sha256(),
        )


def check(recipe: Recipe, *, file: str) -> CheckedRecipe:
    """Find what a recipe names, and see that it fits together.

    `file` is the name that faults are reported under.
    Raises: Refusal.
    """
    card = find_card(recipe.method.name)
    full = complete_recipe(recipe, card, file=file)
    model = find_model(full.model)
    if model.positions is not None and full.training.length > model.positions:
        refuse_faults(
            [
                Fault(
                    file=file,
                    key="training.length",
                    value=str(full.training.length),
                    problem=f"the model was built for {model.positions} tokens; expected at most that",
                )
            ]
        )
    _refuse_unknown_targets(full, model, file)
    _refuse_needs(card, model)
    _refuse_unreadable_template(full)
    rows = load_rows(full)
    if rows.conversational and full.model.chat_template is None and not model.has_template:
        raise Refusal(
            f"{model.name}: the tokenizer has no chat template, and the rows are conversations. Take the model's "
            "instruct variant, name a Jinja file as model.chat_template, or bring rows as prompt/completion or text."
        )
    return CheckedRecipe(_pinned(full, model), card, model, rows)


def _refuse_unknown_targets(recipe: Recipe, model: FoundModel, file: str) -> None:
    """Name the matrices a model has before anything heavy is loaded, where its shape is known."""
    targets = recipe.method.settings.get("targets")
    if model.shape is None or not isinstance(targets, list):
        return
    known = model.shape.matrices
    refuse_faults(
        Fault(
            file=file,
            key="method.settings.targets",
            value=repr(name),
            problem=f"the model has no such matrix; its linear maps are {', '.join(known)}",
        )
        for name in targets
        if name.rpartition(".")[2] not in known
    )


def _refuse_needs(card: Card, model: FoundModel) -> None:
    """Refuse a model whose weights can't be packed into 4 bits, before they are fetched.

    Raises: Refusal.
    """
    stored = model.config.get("quantization_config")
    packed_by = str(stored.get("quant_method", "an unknown tool")) if isinstance(stored, dict) else None
    if packed_by is not None and (card.needs.quantized_base or packed_by == "bitsandbytes"):
        raise Refusal(
            f"{model.name}: its weights are quantized already (by {printable(packed_by)[:50]}), and an adapter trained "
            'on them could never be merged. Name the original model; the method "qlora" packs it while loading.'
        )
    if not card.needs.quantized_base:
        return
    try:
        version("bitsandbytes")
    except PackageNotFoundError:
        raise Refusal(
            f'the method "{card.name}" packs the base model into 4 bits with bitsandbytes, which isn\'t installed. '
            "Install it with: pip install 'bitsandbytes>=0.50' (there is none for this platform if that fails)."
        ) from None
    shape = model.shape
    if shape is not None and shape.expert_weights > shape.linear_weights:
        raise Refusal(
            f"{model.name}: most of its weights are experts, which transformers keeps in stacked parameters that "
            f'can\'t be packed into 4 bits, so the method "{card.name}" would save little. Take "lora", or another '
            "model."
        )


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
