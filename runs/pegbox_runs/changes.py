"""changes.jsonl: what a run was changed to on its way. Its recipe stays what it began with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import msgspec

from pegbox_methods.events import UNDECODABLE, Change
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder

CHANGEABLE = ("training", "evaluation", "output", "recovery", "devices")
"""Parts of the recipe that a checkpoint can go on under; another model, method, seed or rows make another run."""


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One line: values of the recipe that are others from then on."""

    time: float
    """Seconds since 1970 in UTC."""
    step: int
    """Steps that were done."""
    why: Literal["memory", "asked"]
    changes: tuple[Change, ...]


def revisions(folder: RunFolder) -> list[Revision]:
    """Read all of them, oldest first; a run that was never changed has none.

    Raises: Refusal: a line holds something else.
    """
    try:
        lines = folder.changes.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(msgspec.json.decode(line, type=Revision))
        except UNDECODABLE as error:
            raise Refusal(
                f"{folder.changes}, line {number}: holds no change of the recipe ({one_line(str(error), 200)}). Mend "
                "the line, or remove it: the run then goes on without that change."
            ) from None
    return found


def add_revision(folder: RunFolder, revision: Revision) -> None:
    """Write one more; the file is whole before and after, whatever happens between.

    Raises: OSError. Refusal: the file was damaged.
    """
    lines = [msgspec.json.encode(known) + b"\n" for known in (*revisions(folder), revision)]
    aside = folder.changes.with_suffix(".part")
    # A mode of its own: the user's umask, in whose shell a run is continued, may let others read.
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(folder.changes)


def current_recipe(folder: RunFolder) -> Recipe:
    """Read a run's recipe as it is now: what it began with, and the changes since, in their order.

    Raises: Refusal.
    """
    return read_recipe(folder.recipe, [override for one in revisions(folder) for override in overrides(one.changes)])


def overrides(changes: Sequence[Change]) -> list[str]:
    """Write changes as `--set` takes them."""
    return [f"{change.key}={msgspec.json.encode(change.after).decode()}" for change in changes]
