"""The chat template that a run was trained with, where its recipe names one."""

from __future__ import annotations

from pathlib import Path

from pegbox_methods.recipe_file import portable
from pegbox_methods.refusal import Refusal
from pegbox_runs.tuned import TunedRun


def taught_template(run: TunedRun) -> str | None:
    """Read the chat template that the recipe names in the place of the model's own; None: it names none.

    Raises: Refusal: it isn't there any more.
    """
    named = run.recipe.model.chat_template
    if named is None:
        return None
    try:
        return Path(named).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise Refusal(
            f"{portable(named)}: the chat template that {run.id} was trained with can't be read any more: {error}. Put "
            "it back: with another one, the model would be asked otherwise than it was trained."
        ) from error
