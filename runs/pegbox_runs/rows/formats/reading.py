"""The function that turns each row of a source into an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, NamedTuple

from pegbox_runs.rows.example import Conversation, Example, Message, PlainText
from pegbox_runs.rows.formats.names import MEDIA_KEYS, VERDICT_KEYS, by_plain_name
from pegbox_runs.rows.formats.pairs import read_pair
from pegbox_runs.rows.formats.preferences import CANDIDATES, RANKS, RIVALS, preference
from pegbox_runs.rows.formats.recognition import CONVERSATIONS, TELLING, columns_of, looks_like, needed_columns
from pegbox_runs.rows.formats.row_keys import RowKeys
from pegbox_runs.rows.formats.tools import read_tools
from pegbox_runs.rows.formats.turns import TURN_KEYS, read_turns, refuse_unlearnable, with_reasoning
from pegbox_runs.rows.formats.understanding import PREFERENCE, UNKNOWN, Understanding, Unfit, listed, quoted
from pegbox_runs.rows.formats.values import is_blank, kind, list_of, optional_text, reasoning_text, said_text

Read = Callable[[Mapping[str, Any]], Example]

SHAPES_KEPT = 1000
"""Different sets of keys of which a reader remembers what they are; rows may have any."""


class Shape(NamedTuple):
    """What the keys of a row are: the same for all rows with the same keys."""

    columns: RowKeys
    guarded: bool
    """Whether a key's value must be looked at before the row may be read."""


def reader(understanding: Understanding) -> Read:
    """Make the function that reads rows as understood; it raises Unfit, which says why a row can't be taken.

    A column that wasn't in the sample is found by its usual names all the same. A list of turns is read by the
    format's own keys, and a row that looks like another format is named so.
    """
    form = understanding.format
    shapes: dict[tuple[str, ...], Shape] = {}
    read_as = _read_conversation if form in CONVERSATIONS else _read_text if form == "text" else read_pair

    def read(row: Mapping[str, Any]) -> Example:
        keys = tuple(row)
        shape = shapes.get(keys)
        if shape is None:
            if len(shapes) >= SHAPES_KEPT:
                shapes.clear()
            shape = shapes[keys] = _shape(row, understanding)
        if shape.guarded:
            _refuse_guarded(row, form)
        return read_as(row, shape.columns, form)

    return read


def _shape(row: Mapping[str, Any], understanding: Understanding) -> Shape:
    """Find a row's columns. Raises: Unfit: one that the format needs is missing, or the keys are a preference's."""
    form, mapped = understanding.format, understanding.mapped
    columns = columns_of(form, list(row), understanding.columns, mapped, understanding.left_aside)
    names = by_plain_name(row)
    told = not TELLING.isdisjoint(mapped)
    rivals = not told and any(better in names and worse in names for better, worse in RIVALS)
    if columns is None or rivals:
        _refuse_other_format(row, form)
    if columns is None:
        needed = [understanding.columns[column] for column in needed_columns(form)]
        lacking = [quoted(key) for key in needed if key not in row]
        raise Unfit(f"it has no {listed(lacking or [quoted(key) for key in needed])}")
    return Shape(RowKeys.of(columns), not told and _is_guarded(names, form, set(columns.values())))


def _is_guarded(names: Mapping[str, str], form: str, used: Set[str]) -> bool:
    ranked = any(key in names for key in RANKS)
    if any(key in names and (ranked or names[key] not in used) for key in CANDIDATES):
        return True
    return any(key in names for key in (*VERDICT_KEYS, *(MEDIA_KEYS if form in CONVERSATIONS else ())))


def _refuse_guarded(row: Mapping[str, Any], form: str) -> None:
    if preference(row) is not None:
        raise Unfit(_other(PREFERENCE, form))
    if form in CONVERSATIONS:
        names = by_plain_name(row)
        media = next((names[key] for key in MEDIA_KEYS if key in names and not is_blank(row[names[key]])), None)
        if media is not None:
            raise Unfit(f"it comes with {quoted(media)}, and only text can be learned")


def _refuse_other_format(row: Mapping[str, Any], form: str) -> None:
    other = looks_like(row)
    if other not in (UNKNOWN, form):
        raise Unfit(_other(other, form))


def _other(looks: str, form: str) -> str:
    return f"it looks like {looks}, and the rows are read as {form}"


def _read_text(row: Mapping[str, Any], keys: RowKeys, _: str) -> Example:
    key = keys.text
    return PlainText(said_text(row[key], f"its {quoted(key)}"))


def _read_conversation(row: Mapping[str, Any], keys: RowKeys, form: str) -> Example:
    turns = row[keys.messages]
    role_key, content_key = TURN_KEYS[form]
    try:
        messages = read_turns(turns if type(turns) is list else _turns(turns, keys.messages), role_key, content_key)
    except Unfit:
        first = next(iter(list_of(turns) or ()), None)
        if isinstance(first, Mapping) and (other := looks_like(row)) != form and other in CONVERSATIONS:
            raise Unfit(_other(other, form)) from None
        raise
    tools = ""
    if keys.beside:
        tools = _add_extras(row, keys, messages)
    refuse_unlearnable(messages)
    return Conversation(tuple(messages), tools)


def _turns(value: object, key: str) -> Sequence[Any]:
    turns = list_of(value)
    if turns is None:
        raise Unfit(f"its {quoted(key)} is {kind(value)}, so it holds no list of messages")
    return turns


def _add_extras(row: Mapping[str, Any], keys: RowKeys, messages: list[Message]) -> str:
    """Put a system text and reasoning that lie beside the turns into them. Returns: the tools."""
    if keys.system is not None:
        system = optional_text(row[keys.system], f"its {quoted(keys.system)}")
        if system and messages[0].role == "system":
            if messages[0].content != system:
                raise Unfit(f"it has one system text in {quoted(keys.system)} and another in message 1")
        elif system:
            messages.insert(0, Message("system", system))
    if keys.reasoning is not None:
        with_reasoning(messages, reasoning_text(row[keys.reasoning], f"its {quoted(keys.reasoning)}"))
    return "" if keys.tools is None else read_tools(row[keys.tools], f"its {quoted(keys.tools)}")
