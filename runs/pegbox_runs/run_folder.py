"""One run is one folder, private to its user, and everything about the run lies in it."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pegbox_methods.home import home
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import write_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import printable
from pegbox_runs.secrets import redactor

if TYPE_CHECKING:
    from pegbox_runs.environment import Environment  # reads the machine, which looking at runs doesn't


@dataclass(frozen=True)
class RunFolder:
    """The names of what lies in a run's folder. Its own name is the run's id."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id."""
        return self.path.name

    @property
    def recipe(self) -> Path:
        """The whole of the run, defaults written out: training from it repeats the run."""
        return self.path / "recipe.toml"

    @property
    def events(self) -> Path:
        """What the run says of itself."""
        return self.path / "events.jsonl"

    @property
    def commands(self) -> Path:
        """What viewers ask of it."""
        return self.path / "commands.jsonl"

    @property
    def changes(self) -> Path:
        """What the run was changed to on its way, a line each; `recipe.toml` stays what it began with."""
        return self.path / "changes.jsonl"

    @property
    def owner(self) -> Path:
        """Which supervisor carries the run; locked by it as long as it lives."""
        return self.path / "owner.json"

    @property
    def log(self) -> Path:
        """What libraries printed in the worker; nothing reads it but people."""
        return self.path / "worker.log"

    @property
    def environment(self) -> Path:
        """Machine, versions and fingerprints at the start."""
        return self.path / "environment.json"

    @property
    def forecast(self) -> Path:
        """What was forecast of it before it began; see `expected.py`."""
        return self.path / "forecast.json"

    @property
    def checkpoints(self) -> Path:
        """What the trainer saved on the way."""
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        """The result. It appears whole, or not at all."""
        return self.path / "adapter"

    @property
    def exports(self) -> Path:
        """What was made of the result for other tools, a folder each."""
        return self.path / "exports"

    @property
    def summary(self) -> Path:
        """How the run ended, in one record; written by the supervisor."""
        return self.path / "summary.json"


def runs_root() -> Path:
    """Give the folder of all runs. It may not exist yet."""
    return home() / "runs"


def create(recipe: Recipe, environment: Environment) -> RunFolder:
    """Make the folder of a new run; it appears under its name only when it is whole.

    Raises: Refusal: the place for runs can't be written.
    """
    root = runs_root()
    name = f"{moment_of(root)}-{recipe.method.name}-{secrets.token_hex(2)}"
    making = root / f".making-{name}"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        making.mkdir(mode=0o700)
        fill(RunFolder(making), recipe, environment)
        return RunFolder(making.rename(root / name))
    except BaseException as error:
        shutil.rmtree(making, ignore_errors=True)
        if isinstance(error, OSError):
            raise Refusal(
                f"{root}: can't write the run's folder: {error.strerror}. "
                "Make the place writable, or name another with PEGBOX_HOME."
            ) from error
        if isinstance(error, UnicodeError):
            raise Refusal(f"a name in the recipe can't be written as UTF-8: {error}.") from error
        raise


def fill(folder: RunFolder, recipe: Recipe, environment: Environment) -> None:
    """Write what a run begins with into its folder, which is there and empty.

    Raises: OSError. UnicodeError: a name in the recipe can't be written as UTF-8.
    """
    for empty in (folder.recipe, folder.environment, folder.events, folder.commands, folder.log):
        empty.touch(mode=0o600)
    write_recipe(recipe, folder.recipe)
    # Its paths are written with `~` already, and must lead to the same files.
    folder.recipe.write_bytes(redactor().without_tokens(folder.recipe.read_bytes()))
    told = redactor().clean_values(msgspec.to_builtins(environment))
    folder.environment.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
    folder.checkpoints.mkdir(mode=0o700)


def moment_of(root: Path) -> str:
    """Give a name's first part, by which runs are sorted: the second, and a letter where others began in the same."""
    second = time.strftime("%Y%m%d-%H%M%S")
    others = sorted(path.name for path in root.glob(f"{second}*"))
    if not others:
        return second
    letters = others[-1].removeprefix(second).partition("-")[0]
    return second + (letters[:-1] + chr(ord(letters[-1]) + 1) if letters and letters[-1] != "z" else letters + "a")


def discard(folder: RunFolder) -> None:
    """Remove the folder of a run that never began."""
    shutil.rmtree(folder.path, ignore_errors=True)


def all_runs() -> list[RunFolder]:
    """List the runs, oldest first."""
    return sorted((RunFolder(path) for path in _folders()), key=lambda folder: folder.id)


def find(run: str) -> RunFolder:
    """Find a run by its id, a unique prefix of it, or `last`.

    Raises: Refusal: there is none, or there are several.
    """
    runs = all_runs()
    if not runs:
        raise Refusal(f"there are no runs in {runs_root()} yet. Start one with `pegbox demo` or `pegbox train RECIPE`.")
    if run == "last":
        return runs[-1]
    matching = [folder for folder in runs if folder.id == run] or [f for f in runs if f.id.startswith(run)]
    if len(matching) == 1:
        return matching[0]
    shown = printable(run)
    if matching:
        raise Refusal(f'"{shown}" is the beginning of {len(matching)} runs: {", ".join(f.id for f in matching[:5])}.')
    raise Refusal(f'no run is called "{shown}"; `pegbox runs` lists them, and `last` is {runs[-1].id}.')


def _folders() -> Iterator[Path]:
    try:
        entries = list(os.scandir(runs_root()))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith(".") and Path(entry.path, "recipe.toml").is_file():
            yield Path(entry.path)
