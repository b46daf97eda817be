"""The format of one row, by its keys, and by its values where keys alone don't tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pegbox_runs.rows.formats.names import (
    CONVERSATION_EXTRAS,
    CONVERSATION_KEYS,
    EXTRAS,
    PAIR_EXTRAS,
    PAIRS,
    SURE_CONVERSATION_KEYS,
    by_plain_name,
)
from pegbox_runs.rows.formats.preferences import preference
from pegbox_runs.rows.formats.turns import PAIRED_KEYS
from pegbox_runs.rows.formats.understanding import PREFERENCE, UNKNOWN
from pegbox_runs.rows.formats.values import list_of

Look = Callable[[Mapping[str, Any]], tuple[str, dict[str, str]]]

CONVERSATIONS = ("messages", "sharegpt")
LOOKED_FOR = (*CONVERSATIONS, *PAIRS, "text")
"""In this order: a row with messages and a prompt is read as messages."""
TELLING = frozenset({"messages", "prompt", "completion", "text"})
"""Columns that the recipe maps to say what is learned: then no comparison of answers is looked for."""


def needed_columns(form: str) -> tuple[str, ...]:
    """Name the columns that a row of a format can't lack."""
    if form in CONVERSATIONS:
        return ("messages",)
    return ("text",) if form == "text" else ("prompt", "completion")


def extra_columns(form: str) -> tuple[str, ...]:
    """Name the columns that a row of a format may have."""
    if form in CONVERSATIONS:
        return CONVERSATION_EXTRAS
    return PAIR_EXTRAS if form in PAIRS else ()


def columns_of(
    form: str, keys: Sequence[object], preferred: Mapping[str, str], mapped: Sequence[str], barred: Sequence[str] = ()
) -> dict[str, str] | None:
    """Find which of a row's keys are a format's columns.

    A preferred key is taken first; for a mapped column no other is. No key serves twice, nor does a barred one.
    Returns: column -> key; None: a column that the format needs is missing.
    """
    names = by_plain_name(keys)
    present = set(names.values())
    columns: dict[str, str] = {}
    taken = {preferred[column] for column in mapped} | set(barred)

    def find(column: str, candidates: Sequence[str]) -> bool:
        if column in mapped:
            found = preferred[column] if preferred[column] in present else None
        else:
            wanted = [preferred[column]] if column in preferred else []
            free = (key for key in (*wanted, *(names.get(name) for name in candidates)) if key in present)
            found = next((key for key in free if key not in taken), None)
        if found is not None:
            columns[column] = found
            taken.add(found)
        return found is not None

    if not all(find(column, _candidates(form, column)) for column in needed_columns(form)):
        return None
    for column in extra_columns(form):
        find(column, EXTRAS[column])
    return columns


def looker(forms: Sequence[str], preferred: Mapping[str, str], mapped: Sequence[str]) -> Look:
    """Make the function that names a row's format, the first that fits of those given, and its columns."""
    by_keys: dict[tuple[str, ...], list[tuple[str, dict[str, str]]]] = {}
    compares = PREFERENCE in forms

    def look(row: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        if compares and preference(row):
            return PREFERENCE, {}
        keys = tuple(row)
        fitting = by_keys.get(keys)
        if fitting is None:
            tried = ((form, columns_of(form, keys, preferred, mapped)) for form in forms if form != PREFERENCE)
            fitting = by_keys[keys] = [(form, columns) for form, columns in tried if columns is not None]
        agreeing = (found for found in fitting if _value_agrees(found[0], row, found[1], mapped))
        return next(agreeing, (UNKNOWN, {}))

    return look


def looks_like(row: Mapping[str, Any]) -> str:
    """Name a row's format, whatever the recipe says."""
    return looker((PREFERENCE, *LOOKED_FOR), {}, ())(row)[0]


def _candidates(form: str, column: str) -> Sequence[str]:
    if column == "messages":
        return CONVERSATION_KEYS
    if column == "text":
        return ("text",)
    questions, answers = PAIRS[form]
    return questions if column == "prompt" else answers


def _value_agrees(form: str, row: Mapping[str, Any], columns: Mapping[str, str], mapped: Sequence[str]) -> bool:
    """Look inside: who speaks is called differently in messages and in ShareGPT's turns."""
    if form not in CONVERSATIONS:
        return True
    key = columns["messages"]
    turns = list_of(row[key])
    first = turns[0] if turns else None
    if not isinstance(first, Mapping):
        sure = "messages" in mapped or key.strip().lower() in SURE_CONVERSATION_KEYS
        return form == "messages" and sure
    if form == "sharegpt":
        return "from" in first and "role" not in first
    return "from" not in first or "role" in first or any(asked in first for asked, _ in PAIRED_KEYS)
