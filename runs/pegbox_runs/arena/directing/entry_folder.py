"""Making the folder of an entry's run: whole or not at all, and standing on the same rows as all the others'."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from pegbox_methods.events import UNDECODABLE
from pegbox_methods.recipe import Recipe
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.entries import Entry, entry_recipe
from pegbox_runs.environment import Environment, describe, prints_in, prints_of
from pegbox_runs.run_folder import RunFolder, fill
from pegbox_runs.whole_file import write_whole


class Ground:
    """What every entry stands on: this machine as it is now, and the rows and the model as the comparison found them.

    A worker refuses an entry whose files are others by then, so that all are compared on the same.
    """

    def __init__(self, folder: ComparisonFolder, recipe: Recipe) -> None:
        """Take what the comparison's environment.json says; one that lacks it gets it. `recipe`: what all share.

        Raises: Refusal: rows or model can't be read. OSError.
        """
        told = first_ground(folder)
        if told is None:
            told = _found(recipe)
            write_whole(folder.environment, msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
        self.environment = describe(
            rows_sha256=told.rows_sha256, held_out_sha256=told.held_out_sha256, base=prints_in(told)
        )


def entry_folder(
    folder: ComparisonFolder, entry: Entry, recipe: Recipe, ground: Ground, *, timed: bool = False
) -> RunFolder:
    """Give the folder of an entry's run; one that isn't there, or in which nothing ever happened, is made.

    `recipe`: the contestant's. `timed`: as in `entry_recipe`. To be called by the comparison's owner alone.
    Raises: OSError: nothing half-made is left.
    """
    place = folder.entry(entry.id)
    if place.path.exists():
        if _has_begun(place):
            return place
        shutil.rmtree(place.path)  # the power may have gone before its files were on the disk
    making = folder.entries / f".making-{entry.id}"
    shutil.rmtree(making, ignore_errors=True)  # of one who was killed while at it
    try:
        making.mkdir(mode=0o700, parents=True)
        fill(RunFolder(making), entry_recipe(entry, recipe, timed=timed), ground.environment)
        for path in making.iterdir():
            _force(path)
        making.rename(place.path)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return place


def _has_begun(place: RunFolder) -> bool:
    try:
        return place.events.stat().st_size > 0
    except FileNotFoundError:
        return False


def first_ground(folder: ComparisonFolder) -> Environment | None:
    """Read what a comparison stood on when it was made; None: that isn't there, or isn't whole."""
    try:
        return msgspec.json.decode(folder.environment.read_bytes(), type=Environment)
    except (OSError, *UNDECODABLE):
        return None


def _found(recipe: Recipe) -> Environment:
    from pegbox_runs.models import find_model  # both read much that a director otherwise does without
    from pegbox_runs.rows.loading import find_rows

    rows, model = find_rows(recipe), find_model(recipe.model)
    return describe(
        rows_sha256=rows.sha256,
        held_out_sha256=rows.held_out_sha256,
        base=prints_of(model, recipe.model),
    )


def _force(path: Path) -> None:
    """Put a file's content on the disk. Raises: OSError."""
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())
