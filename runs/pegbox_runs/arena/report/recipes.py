"""A recipe for each training that counts, beside the report: `pegbox train` of it repeats that row."""

from __future__ import annotations

from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.entries import Entry
from pegbox_runs.arena.report.names import RECIPES, recipe_name
from pegbox_runs.arena.results import Results
from pegbox_runs.arena.spec import NAME
from pegbox_runs.whole_file import write_whole


def write_recipes(results: Results, folder: ComparisonFolder) -> None:
    """Copy the recipes of all that is done, byte for byte; one that is there as it should be isn't written again.

    An entry whose folder was removed since keeps the copy that was made of its recipe, if there is one.
    Raises: OSError.
    """
    (folder.path / RECIPES).mkdir(mode=0o700, exist_ok=True)
    for one in results.contestants:
        if not NAME.fullmatch(one.name):  # a name that leads elsewhere is none of ours
            continue
        for seed in one.seeds:
            entry = Entry(contestant=one.name, seed=seed.seed, steps=1, rate=1.0)
            source, copy = folder.entry(entry.id).recipe, folder.path / recipe_name(one.name, seed.seed)
            if not source.is_file():
                continue
            content = source.read_bytes()
            if not copy.is_file() or copy.read_bytes() != content:
                write_whole(copy, content)
