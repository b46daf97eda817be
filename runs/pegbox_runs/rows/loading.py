"""From a recipe's file names to the examples of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.example import Conversation, Example
from pegbox_runs.rows.files import fingerprint, read_rows
from pegbox_runs.rows.formats import read_examples
from pegbox_runs.rows.split import split


@dataclass(frozen=True)
class LoadedRows:
    """The examples of a run, parted, and what they came from."""

    format: str
    trained: list[Example]
    held_out: list[Example]
    sha256: str
    held_out_sha256: str | None

    @property
    def conversational(self) -> bool:
        """Whether any example needs a chat template."""
        return any(isinstance(example, Conversation) for example in (*self.trained, *self.held_out))


def load_rows(recipe: Recipe) -> LoadedRows:
    """Read, recognise and part a recipe's rows.

    The same recipe and files give the same examples in every process.
    Raises: Refusal: a file or a row is not as it should be, or too few rows are left to train or to hold out.
    """
    path = Path(recipe.rows.file).expanduser()
    name, examples = read_examples(str(path), read_rows(path, recipe.rows.limit), recipe.rows.format)
    if recipe.split.file is None:
        if recipe.split.share and len(set(examples)) < 2:
            raise Refusal(f"{path}: only one distinct row, so none can be held out. Add rows, or set split.share to 0.")
        trained, held_out = split(examples, recipe.split.share, recipe.seeds.split)
        return LoadedRows(name, trained, held_out, fingerprint(path), None)
    other = Path(recipe.split.file).expanduser()
    _, held_out = read_examples(str(other), read_rows(other), recipe.rows.format)
    return LoadedRows(name, examples, held_out, fingerprint(path), fingerprint(other))
