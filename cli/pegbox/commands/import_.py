"""pegbox import FILE"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from pegbox.answer import answer_json, say
from pegbox.import_view import show_import
from pegbox_methods.home import user_path
from pegbox_methods.recipe_file import portable, recipe_text
from pegbox_methods.refusal import Refusal
from pegbox_runs.foreign.carrying import Imported
from pegbox_runs.foreign.importing import import_recipe
from pegbox_runs.printable import one_line, printable
from pegbox_runs.whole_file import write_new


def run(asked: argparse.Namespace) -> int:
    """Say what becomes of each key, and write the recipe."""
    found = import_recipe(user_path(asked.file))
    if asked.write:
        _write(user_path(asked.write), commented(found))
    if asked.json:
        answer_json({**msgspec.to_builtins(found), "written": asked.write})
    show_import(found, json=asked.json)
    if asked.write:
        say(f"wrote {portable(asked.write)}. `pegbox train {portable(asked.write)}` runs it.", json=asked.json)
    elif not asked.json:
        say("--write RECIPE writes it as a file that `pegbox train` takes.")
    return 0


def commented(found: Imported) -> str:
    """Give the recipe as TOML, with what wasn't carried over as remarks above it."""
    left = [
        f"# {one_line(entry.key, 100)}: {one_line(entry.why, 300)}" for entry in found.entries if entry.fate == "left"
    ]
    to_do = [f"# to do: {one_line(sentence, 300)}" for sentence in found.to_do]
    head = [f"# Read from a recipe of {found.tool}. Not carried over:", *(left or ["# nothing was left."]), *to_do]
    return "\n".join([*head, "", recipe_text(found.recipe)])


def _write(path: Path, text: str) -> None:
    """Write the recipe into a file of its own. Raises: Refusal: it is there already, or can't be made."""
    try:
        write_new(path, text.encode())
    except FileExistsError:
        raise Refusal(f"{printable(str(path))}: is there already, and nothing is overwritten. Name another.") from None
    except OSError as error:
        raise Refusal(f"{printable(str(path))}: can't be written: {error.strerror}.") from None
