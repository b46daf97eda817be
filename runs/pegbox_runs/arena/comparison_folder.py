"""One comparison is one folder, supervised as a run is: the same owner, log and commands; its runs lie in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pegbox_methods.home import home
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import printable
from pegbox_runs.run_folder import RunFolder


@dataclass(frozen=True)
class ComparisonFolder(RunFolder):
    """The names of what lies in a comparison's folder. Its own name is the comparison's id.

    `events`, `commands` and `owner` mean what they mean for a run; the director is supervisor and worker in one, and an
    entry counts as a step. `recipe` is what all contestants share.
    """

    @property
    def comparison(self) -> Path:
        """What was asked for."""
        return self.path / "comparison.toml"

    @property
    def contestants(self) -> Path:
        """A recipe for each contestant, as `<name>.toml`; seeds, steps and learning rates are the schedule's."""
        return self.path / "contestants"

    @property
    def paced(self) -> Path:
        """How many steps a budget of time allows, once the pace is known; written once, by the director."""
        return self.path / "paced.json"

    @property
    def entries(self) -> Path:
        """A run's folder for each entry, named by the entry's id."""
        return self.path / "entries"

    @property
    def results(self) -> Path:
        """What is known of the contestants so far; the last one says that it is complete."""
        return self.path / "results.json"

    def entry(self, id_: str) -> RunFolder:
        """Give the folder of an entry's run. It may not exist."""
        return RunFolder(self.entries / id_)


def comparisons_root() -> Path:
    """Give the folder of all comparisons. It may not exist yet."""
    return home() / "comparisons"


def comparison_of(folder: RunFolder) -> ComparisonFolder | None:
    """Give the comparison that a run is an entry of; None: it is a run of its own."""
    entries = folder.path.parent
    found = ComparisonFolder(entries.parent)
    return found if entries == found.entries and found.comparison.is_file() else None


def all_comparisons() -> list[ComparisonFolder]:
    """List the comparisons, oldest first."""
    return sorted((ComparisonFolder(path) for path in _folders()), key=lambda folder: folder.id)


def find_comparison(name: str) -> ComparisonFolder:
    """Find a comparison by its id, a unique prefix of it, or `last`.

    Raises: Refusal: there is none, or there are several.
    """
    there = all_comparisons()
    if not there:
        raise Refusal(
            f"there are no comparisons in {comparisons_root()} yet. Start one with "
            "`pegbox compare RECIPE --methods lora,dora`."
        )
    if name == "last":
        return there[-1]
    matching = [one for one in there if one.id == name] or [one for one in there if one.id.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    shown = printable(name)
    if matching:
        first = ", ".join(one.id for one in matching[:5])
        raise Refusal(f'"{shown}" is the beginning of {len(matching)} comparisons: {first}.')
    raise Refusal(f'no comparison is called "{shown}"; `pegbox compare` lists them, and `last` is {there[-1].id}.')


def _folders() -> Iterator[Path]:
    try:
        entries = list(os.scandir(comparisons_root()))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith(".") and Path(entry.path, "comparison.toml").is_file():
            yield Path(entry.path)
