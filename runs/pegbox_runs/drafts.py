"""A recipe in the making: what the wizard's person has answered so far, kept in a file after each answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from pegbox_methods.advice.goals import Goal
from pegbox_methods.advice.serving import ServingTarget
from pegbox_methods.home import home
from pegbox_methods.recipe import Model, Recipe, Rows, Split
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs.printable import one_line
from pegbox_runs.whole_file import write_whole

StepName = Literal["machine", "model", "rows", "goal", "settings", "review"]
STEPS: tuple[StepName, ...] = get_args(StepName)


class PlannedCard(msgspec.Struct, frozen=True, kw_only=True):
    """A card that isn't in this machine, and is planned for: one of the two."""

    gpu: str | None = None
    """By its name in the profile table."""
    vram_gib: float | None = None
    """By its memory alone."""


class Draft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was answered. None: not yet. Each answer makes a changed copy."""

    step: StepName = "machine"
    """Where the person is."""
    reached: StepName = "machine"
    """The farthest step that was open."""
    planned: PlannedCard | None = None
    """None: for this machine."""
    model: Model | None = None
    rows: Rows | None = None
    split: Split = Split()
    goal: Goal = Goal()
    serving: ServingTarget | None = None
    instead: dict[str, bool] = {}
    """Whether something simpler would do: yes or no, by the names of the questions in `advice.instead`."""
    method: str | None = None
    """None: the advised one."""
    values: dict[str, Any] = {}
    """What the person set otherwise than advised: keys as `--set` takes them (`training.length`,
    `method.settings.rank`), values as TOML holds them."""
    step_rows: int | None = None
    """Rows of a step as the person last wanted them, by setting the accumulation; a micro-batch that is larger than
    that can't keep them, and a smaller one gets them back. None: as `values` has them."""


UNREADABLE = (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What reading a draft raises that is broken, another version's, or in a place that can't be read."""


def draft_file() -> Path:
    """Give the file of the draft. It may not exist."""
    return home() / "draft.json"


def read_draft() -> Draft | None:
    """Look at the draft that was left; None: there is none, or none that this version can read."""
    try:
        return _decoded()
    except UNREADABLE:
        return None


def take_up_draft() -> tuple[Draft | None, str]:
    """Take up the draft that was left; what can't be read is put aside, so that the next answer doesn't replace it.

    Returns: (it, if there is one; a sentence for people, if it can't be read).
    """
    path = draft_file()
    try:
        return _decoded(), ""
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except UNREADABLE as error:
        why = one_line(str(error), 160)
    aside = path.with_name(f"draft-unread-{time.strftime('%Y%m%d-%H%M%S')}.json")
    try:
        path.rename(aside)
    except OSError as error:
        told = f"can't be put aside ({error.strerror}): your first answer will try to replace it"
        return None, f"{path}: the draft that was left can't be read ({why}), and {told}."
    return None, f"The draft that was left can't be read ({why}). It lies in {aside} now."


def _decoded() -> Draft:
    return msgspec.json.decode(draft_file().read_bytes(), type=Draft)


def write_draft(draft: Draft) -> None:
    """Keep a draft whole: a connection that drops meanwhile costs the newest answer at most.

    Raises: OSError: the place can't be written.
    """
    path = draft_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, msgspec.json.encode(draft))


def forget_draft() -> None:
    """Remove the draft: its run has begun, or the person begins anew."""
    draft_file().unlink(missing_ok=True)


def draft_of(recipe: Recipe) -> Draft:
    """Make a draft that repeats a recipe, open at its settings: its values stand as if set by hand.

    Left out is what would be the same by following another value, so that it goes on following.
    """
    tables = msgspec.to_builtins(recipe)
    values = {
        f"{table}.{key}": value
        for table in ("training", "evaluation", "output", "recovery", "seeds", "devices")
        for key, value in tables[table].items()
        if value is not None
    }
    settings = {f"method.settings.{name}": value for name, value in recipe.method.settings.items()}
    if recipe.evaluation.micro_batch == recipe.training.micro_batch:
        del values["evaluation.micro_batch"]
    if _alpha_follows(recipe):
        del settings["method.settings.alpha"]
    return Draft(
        step="settings",
        reached="review",
        model=recipe.model,
        rows=recipe.rows,
        split=recipe.split,
        method=recipe.method.name,
        values={**settings, **values},
    )


def _alpha_follows(recipe: Recipe) -> bool:
    """Tell whether alpha is to the rank as the method's own is, which the advice keeps too."""
    rank, alpha = recipe.method.settings.get("rank"), recipe.method.settings.get("alpha")
    try:
        own = {setting.name: setting.default for setting in find_card(recipe.method.name).settings}
    except Refusal:  # the method isn't installed any more
        return False
    if not rank or alpha is None or not own.get("rank") or own.get("alpha") is None:
        return False
    return bool(alpha == own["alpha"] / own["rank"] * rank)
