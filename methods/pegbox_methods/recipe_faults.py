"""What is wrong with a recipe, all of it at once, each with its key, value and what would be accepted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Fault, did_you_mean


def table_faults(table: dict[str, Any], shape: type[msgspec.Struct], *, file: str, prefix: str = "") -> Iterator[Fault]:
    """Compare one table of a recipe with the struct it should be."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    for name, value in table.items():
        if name not in fields:
            yield Fault(
                file=file,
                key=prefix + name,
                value=None if isinstance(value, dict) else repr(value),
                problem=f"unknown key; {did_you_mean(name, fields)}",
            )
    for name, field in fields.items():
        key = prefix + name
        if name not in table:
            if field.required:
                yield Fault(file=file, key=key, value=None, problem=f"missing; expected {_accepted(field.type)}")
        elif isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            if isinstance(table[name], dict):
                yield from table_faults(table[name], field.type, file=file, prefix=f"{key}.")
            else:
                yield Fault(file=file, key=key, value=repr(table[name]), problem=f"expected a table [{key}]")
        else:
            try:
                msgspec.convert(table[name], field.type)
            except msgspec.ValidationError:
                yield Fault(file=file, key=key, value=repr(table[name]), problem=f"expected {_accepted(field.type)}")


def contradictions(recipe: Recipe, *, file: str) -> Iterator[Fault]:
    """Find values that are each fine and don't go together."""
    if recipe.split.file is not None and recipe.split.share > 0:
        yield Fault(
            file=file,
            key="split.share",
            value=repr(recipe.split.share),
            problem="contradicts split.file: held-out rows come from one of the two; set share to 0 or leave file out",
        )


def _accepted(declared: Any) -> str:
    """Say in words what a field's type takes."""
    return _words(inspect.type_info(declared))


def _words(kind: inspect.Type) -> str:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    match kind:
        case inspect.UnionType():
            return " or ".join(_words(part) for part in kind.types if not isinstance(part, inspect.NoneType))
        case inspect.LiteralType():
            return "one of " + ", ".join(f'"{value}"' for value in kind.values)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number {_range(kind)}".rstrip()
        case inspect.FloatType():
            return f"a number {_range(kind)}".rstrip()
        case inspect.StrType() if kind.max_length is not None:
            return f"a text of at most {kind.max_length} characters"
        case inspect.StrType():
            return "a text" if not kind.min_length else "a text that isn't empty"
        case _:
            return "a table"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low = f"from {kind.ge:,}" if kind.ge is not None else f"above {kind.gt:,}" if kind.gt is not None else ""
    return f"{low} to {kind.le:,}" if kind.le is not None else low
