"""Single values of a row, taken as texts or lists; what isn't one is said, never turned into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pegbox_runs.rows.formats.understanding import Unfit


def kind(value: object) -> str:
    """Name what a value is, for people."""
    match value:
        case None:
            return "without a value"
        case bool():
            return "true or false, not a text"
        case int() | float():
            return "a number, not a text"
        case str():
            return "a text"
        case Mapping():
            return "an object, not a text"
        case Sequence():
            return "a list, not a text"
    return "not a text"


def text_of(value: object, what: str) -> str:
    """Take a value as text; `what` names it, as in `its "output"`. Raises: Unfit."""
    if not isinstance(value, str):
        raise Unfit(f"{what} is {kind(value)}")
    if not value.isascii():
        refuse_half_characters(value)
    return value


def optional_text(value: object, what: str) -> str:
    """Take a value as text, and an absent one as the empty text. Raises: Unfit."""
    return "" if value is None else text_of(value, what)


def said_text(value: object, what: str) -> str:
    """Take a value as text that says something. Raises: Unfit."""
    text = text_of(value, what)
    if not text or text.isspace():
        raise Unfit(f"{what} is empty")
    return text


def reasoning_text(value: object, what: str) -> str:
    """Take reasoning that lies in a column of its own, as a text or a list of one. Raises: Unfit."""
    return optional_text(value[0] if isinstance(value, list) and len(value) == 1 else value, what)


def is_blank(value: object) -> bool:
    """Whether a value of an optional column says nothing."""
    return value is None or value == "" or value == []


def list_of(value: object) -> Sequence[Any] | None:
    """Take a value as a list, be it written as JSON, as CSV files must; None: it is no list."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value) if value.lstrip().startswith("[") else None
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else None


def refuse_half_characters(text: str) -> None:
    """Refuse half of a character pair, which JSON can carry and no tokenizer can take. Raises: Unfit."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unfit(f"it holds half a character ({text[error.start]!r}), as a damaged emoji leaves behind") from None
