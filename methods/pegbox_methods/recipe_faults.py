"""What is wrong with a recipe, all of it at once, each with its key, value and what would be accepted."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from pegbox_methods.device_faults import device_contradictions
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Fault, did_you_mean

MOST_SHARED = 0.9
"""Of an epoch, what may come from sources with a share, all together."""


def table_faults(table: dict[str, Any], shape: type[msgspec.Struct], *, file: str, prefix: str = "") -> Iterator[Fault]:
    """Compare one table of a recipe with the struct it should be."""
    fields = _fields(shape)
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
                yield Fault(file=file, key=key, value=None, problem=f"missing; expected {accepted(field.type)}")
        elif isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            if isinstance(table[name], dict):
                yield from table_faults(table[name], field.type, file=file, prefix=f"{key}.")
            else:
                yield Fault(file=file, key=key, value=repr(table[name]), problem=f"expected a table [{key}]")
        elif (item := _item(field.type)) is not None and isinstance(table[name], list):
            for number, entry in enumerate(table[name], start=1):
                if isinstance(entry, dict):
                    yield from table_faults(entry, item, file=file, prefix=f"{key}[{number}].")
                else:
                    yield Fault(
                        file=file, key=f"{key}[{number}]", value=repr(entry), problem=f"expected a table [[{key}]]"
                    )
        else:
            try:
                msgspec.convert(table[name], field.type)
            except msgspec.ValidationError:
                yield Fault(file=file, key=key, value=repr(table[name]), problem=f"expected {accepted(field.type)}")


@functools.cache  # making them anew takes most of a recipe's reading, and a comparison reads thousands
def _fields(shape: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(shape)}


def contradictions(recipe: Recipe, *, file: str) -> Iterator[Fault]:
    """Find values that are each fine and don't go together."""
    if recipe.split.file is not None and recipe.split.share > 0:
        yield Fault(
            file=file,
            key="split.share",
            value=repr(recipe.split.share),
            problem="contradicts split.file: held-out rows come from one of the two; set share to 0 or leave file out",
        )
    for key in ("by", "stratify"):
        if (column := getattr(recipe.split, key)) is not None and recipe.split.file is not None:
            problem = "decides how a share is drawn, and split.file gives the held-out rows; leave one of the two out"
            yield Fault(file=file, key=f"split.{key}", value=repr(column), problem=problem)
    if recipe.split.by is not None and recipe.split.stratify is not None:
        problem = "contradicts split.by: rows are parted by whole groups or evenly by value; leave one of the two out"
        yield Fault(file=file, key="split.stratify", value=repr(recipe.split.stratify), problem=problem)
    yield from _mixture_contradictions(recipe, file)
    yield from _judging_contradictions(recipe, file)
    yield from device_contradictions(recipe, file)


def _mixture_contradictions(recipe: Recipe, file: str) -> Iterator[Fault]:
    for number, source in enumerate(recipe.rows.mix, start=1):
        if source.weight is not None and source.share is not None:
            problem = "contradicts the weight beside it: a source has a weight or a share; leave one of the two out"
            yield Fault(file=file, key=f"rows.mix[{number}].share", value=repr(source.share), problem=problem)
    whole = sum(source.share or 0 for source in recipe.rows.mix)
    if whole > MOST_SHARED:
        problem = f"the shares of the sources add up to more than {MOST_SHARED:g} and leave too little of your own rows"
        yield Fault(file=file, key="rows.mix", value=f"{whole:g}", problem=problem)


def _judging_contradictions(recipe: Recipe, file: str) -> Iterator[Fault]:
    judging = recipe.judging
    if judging.rows and recipe.split.file is None and recipe.split.share == 0:
        problem = "needs held-out rows to look at; set split.share above 0, name a split.file, or leave it out"
        yield Fault(file=file, key="judging.rows", value="True", problem=problem)
    if not judging.rows:
        asked = {"general": judging.general, "metrics": list(judging.metrics)}
        for key in (key for key, value in asked.items() if value):
            problem = "does nothing without judging.rows; set that to true, or leave this out"
            yield Fault(file=file, key=f"judging.{key}", value=repr(asked[key]), problem=problem)
    twice = sorted({metric for metric in judging.metrics if judging.metrics.count(metric) > 1})
    if twice:
        problem = "names a measure more than once; name each once"
        yield Fault(file=file, key="judging.metrics", value=repr(twice[0]), problem=problem)


@functools.cache
def _item(declared: Any) -> type[msgspec.Struct] | None:
    """Give the struct that a field is a list of, if it is such a list."""
    kind = _bare(inspect.type_info(declared))
    item = kind.item_type if isinstance(kind, inspect.VarTupleType) else None
    return item.cls if isinstance(item, inspect.StructType) else None


def accepted(declared: Any) -> str:
    """Say in words what a field's type takes."""
    return _words(inspect.type_info(declared))


def _words(kind: inspect.Type) -> str:
    kind = _bare(kind)
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
        case inspect.VarTupleType(item_type=inspect.StructType()):
            return "a list of tables"
        case inspect.VarTupleType():
            return f"a list, each {_words(kind.item_type)}"
        case inspect.DictType() if isinstance(key := _bare(kind.key_type), inspect.LiteralType):
            return f"a table of {_words(kind.value_type)} for any of " + ", ".join(str(name) for name in key.values)
        case _:
            return "a table"


def _bare(kind: inspect.Type) -> inspect.Type:
    """Leave out what a type only says for people."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low = f"from {kind.ge:,}" if kind.ge is not None else f"above {kind.gt:,}" if kind.gt is not None else ""
    return f"{low} to {kind.le:,}" if kind.le is not None else low
