"""What a run stands on must be what it was started on: its rows, and its base model."""

from __future__ import annotations

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import portable
from pegbox_methods.refusal import Refusal
from pegbox_runs.environment import Environment, changed_part, prints_in, prints_of, read_environment
from pegbox_runs.models import find_model
from pegbox_runs.rows.loading import FoundRows
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.whole_file import write_whole


def refuse_other_rows(found: FoundRows, folder: RunFolder) -> None:
    """Refuse rows that aren't those the run was started with.

    Raises: Refusal.
    """
    told = read_environment(folder.environment)
    if (found.sha256, found.held_out_sha256) != (told.rows_sha256, told.held_out_sha256):
        raise Refusal("the file of rows was changed after the run was started; start it anew.")


def refuse_other_model(recipe: Recipe, folder: RunFolder) -> None:
    """Refuse a base model that isn't the one the run was started with.

    One of the Hub may not have had its weights here yet when the run was made.
    Raises: Refusal.
    """
    found = find_model(recipe.model)
    told = prints_in(read_environment(folder.environment))
    changed = changed_part(told, prints_of(found, recipe.model), from_hub=found.from_hub)
    if changed is None:
        return
    own = recipe.model.chat_template if changed == "chat template" else None
    if own is not None:
        what = f"{portable(own)}: the chat template was changed after the run was started"
    else:
        part = "config.json, or its weights" if changed == "config or weights" else changed
        what = f"{portable(recipe.model.name)}: the base model was changed after the run was started (its {part})"
    raise Refusal(f"{what}. Put back the one that was there, or start the run anew.")


def note_weights(recipe: Recipe, folder: RunFolder) -> None:
    """Write down what tells the base's weights from others, where they weren't here when the run was made.

    Raises: OSError.
    """
    told = read_environment(folder.environment)
    found = None if told.weights_sha256 else find_model(recipe.model).weights_sha256()
    if found is not None:
        now: Environment = msgspec.structs.replace(told, weights_sha256=found)
        write_whole(folder.environment, msgspec.json.format(msgspec.json.encode(now), indent=2) + b"\n")
