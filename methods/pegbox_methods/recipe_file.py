"""Recipes as TOML: read with every fault named, written so that the run can be repeated from the file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from pegbox_methods.abilities import within_abilities
from pegbox_methods.card import Card
from pegbox_methods.hub_name import is_hub_id
from pegbox_methods.recipe import Method, Model, Recipe
from pegbox_methods.recipe_faults import contradictions, table_faults
from pegbox_methods.refusal import Refusal, refuse_faults
from pegbox_methods.setting import resolve_settings

BUNDLED_GENERAL = "bundled"
"""What judging.general calls the general rows that come with Pegbox."""


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, with `section.key=value` overrides on top; relative paths count from the file's folder.

    Raises: Refusal: the file isn't there, isn't TOML, or holds faults (all of them named).
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Refusal(f"{path}: can't read the recipe: {error.strerror}. Give the path of a TOML file.") from None
    except UnicodeDecodeError as error:
        raise Refusal(f"{path}: not UTF-8 at byte {error.start}. A recipe is a TOML text in UTF-8.") from None
    try:
        table = tomllib.loads(text.replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:  # values may nest deeper than Python goes
        raise Refusal(f"{path}: not valid TOML: {error}.") from None
    for override in overrides:
        _override(table, override)
    return recipe_from_table(table, file=str(path), folder=path.absolute().parent)


def recipe_from_table(table: dict[str, Any], *, file: str, folder: Path) -> Recipe:
    """Check a parsed recipe and make its paths absolute.

    `file` is the name that faults are reported under; `folder` is where relative paths start.
    Raises: Refusal: with every fault found.
    """
    refuse_faults(table_faults(table, Recipe, file=file))
    split = table.get("split", {})
    if "file" in split and "share" not in split:
        table = {**table, "split": {**split, "share": 0.0}}  # a file is meant in place of the default share
    recipe = msgspec.convert(table, Recipe)
    refuse_faults(contradictions(recipe, file=file))
    return msgspec.structs.replace(
        recipe,
        model=msgspec.structs.replace(
            recipe.model,
            name=_model_name(recipe.model, folder),
            chat_template=recipe.model.chat_template and _absolute(recipe.model.chat_template, folder),
        ),
        rows=msgspec.structs.replace(
            recipe.rows,
            file=_rows_name(recipe.rows.file, folder),
            mix=tuple(
                msgspec.structs.replace(source, file=_rows_name(source.file, folder)) for source in recipe.rows.mix
            ),
        ),
        split=msgspec.structs.replace(recipe.split, file=recipe.split.file and _rows_name(recipe.split.file, folder)),
        judging=msgspec.structs.replace(
            recipe.judging, general=recipe.judging.general and _general_name(recipe.judging.general, folder)
        ),
    )


def complete_recipe(recipe: Recipe, card: Card, *, file: str) -> Recipe:
    """Fill in what the method decides: its settings' defaults, its learning rate, and what it can't do.

    Raises: Refusal: a setting is unknown or out of range.
    """
    settings, faults = resolve_settings(card.settings, recipe.method.settings, file=file)
    refuse_faults(faults)
    rate = card.learning_rate if recipe.training.learning_rate is None else recipe.training.learning_rate
    return msgspec.structs.replace(
        recipe,
        method=msgspec.structs.replace(recipe.method, settings=settings),
        training=msgspec.structs.replace(within_abilities(recipe.training, card), learning_rate=rate),
    )


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write every value, defaults too, so that a later version's defaults can't change a repeated run.

    The user's home is written as `~`. Keys that are None are left out: TOML has no null.
    """
    path.write_text(recipe_text(recipe), encoding="utf-8")


def recipe_text(recipe: Recipe) -> str:
    """Give the recipe as TOML."""
    return tomli_w.dumps(_portable(msgspec.to_builtins(recipe)))


def recipe_schema(cards: Iterable[Card] = ()) -> dict[str, Any]:
    """Give the JSON schema of a recipe, with the description, range and unit of each field.

    `cards`: the methods that a recipe may name; with them the schema checks each method's own settings too.
    """
    schema = msgspec.json.schema(Recipe)
    choices = [_method_schema(card) for card in cards]
    if choices:
        schema["$defs"]["Method"]["anyOf"] = choices
    return schema


def _method_schema(card: Card) -> dict[str, Any]:
    """Describe the table [method] of one method."""
    settings = {
        "type": "object",
        "properties": {setting.name: setting.schema() for setting in card.settings},
        "additionalProperties": False,
    }
    return {
        "title": card.title,
        "description": card.summary,
        "properties": {"name": {"const": card.name}, "settings": settings},
        # A recipe that names no method has the default one.
        "required": [] if card.name == Method().name else ["name"],
    }


def portable(path: str) -> str:
    """Write the user's home as `~`, so that it doesn't leave the machine with a recipe or a log."""
    home = str(Path.home())
    return "~" + path[len(home) :] if home != "/" and path.startswith(home + os.sep) else path


def _portable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _portable(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_portable(item) for item in value]
    return portable(value) if isinstance(value, str) else value


def _absolute(name: str, folder: Path) -> str:
    try:
        return os.path.normpath(folder / Path(name).expanduser())
    except RuntimeError:  # "~somebody" of whom this machine knows nothing
        raise Refusal(f"{name}: there is no such user's home on this machine. Give a path.") from None


def _model_name(model: Model, folder: Path) -> str:
    """Make a folder's name absolute; leave a Hub id or a catalogue name as it is.

    `org/name` is a folder if there is one of that name beside the recipe, as for transformers; a single word
    never is, so that a catalogue name means the same everywhere.
    """
    if model.name.startswith((".", "~", os.sep)):
        return _absolute(model.name, folder)
    candidate = _absolute(model.name, folder)
    return candidate if os.sep in model.name and Path(candidate).is_dir() else model.name


def _rows_name(name: str, folder: Path) -> str:
    """Make a path of rows absolute; leave the Hub id of a data set as it is, unless there is a path of that name."""
    path = _absolute(name, folder)
    return name if is_hub_id(name) and not Path(path).exists() else path


def _general_name(name: str, folder: Path) -> str:
    """Make a path of general rows absolute; the word for our own means the same everywhere."""
    return name if name == BUNDLED_GENERAL else _rows_name(name, folder)


def _from_here(key: str, value: str) -> str:
    """Let a path on the command line count from the current folder, as people expect there."""
    if key in {"rows.file", "split.file"}:
        return _rows_name(value, Path.cwd())
    if key == "judging.general" and value:
        return _general_name(value, Path.cwd())
    if key == "model.chat_template":
        return _absolute(value, Path.cwd())
    return _model_name(Model(name=value), Path.cwd()) if key == "model.name" and value else value


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise Refusal(f"--set {override}: expected SECTION.KEY=VALUE, as in training.epochs=3.")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word is a text: --set method.name=lora
    if isinstance(value, str):
        value = _from_here(key.strip(), value)
    inner = table
    for name in names[:-1]:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            raise Refusal(f"--set {override}: {name} is a value in the recipe, not a table.")
    inner[names[-1]] = value
