"""What a person types into a setting, read as the value that it means, or refused with what would be accepted."""

from __future__ import annotations

import json
from typing import Any

from pegbox_runs.printable import one_line
from pegbox_tui.wizard.settings.fields import FormField

OPEN = ("", "-", "none", "default")
"""What leaves an optional value open."""
YES, NO = ("true", "yes", "on"), ("false", "no", "off")
LONGEST_NUMBER = 40
"""Characters; Python itself refuses to read numbers of thousands of digits."""


class NotAccepted(Exception):
    """Says what was typed and what would be accepted."""


def read_typed(field: FormField, text: str) -> Any:
    """Read what was typed.

    Raises: NotAccepted.
    """
    said = text.strip()
    if field.optional and said.lower() in OPEN:
        return None
    value = _value(field, said)
    if not field.accepts(value):
        raise NotAccepted(f"{one_line(said, 60) or 'nothing'}: expected {field.accepted}.")
    return value


def write_value(value: Any) -> str:
    """Write a value as it may be typed again."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return str(value)


def number(value: float) -> str:
    """Write a number shortly: 3, 0.05, 2e-4."""
    if value and abs(value) < 0.001:
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:.6g}" if abs(value) < 1e6 else repr(value)


def _value(field: FormField, said: str) -> Any:
    refused = NotAccepted(f"{one_line(said, 60) or 'nothing'}: expected {field.accepted}.")
    match field.kind:
        case "whole" | "number":
            return _number(field, said, refused)
        case "switch":
            if said.lower() not in (*YES, *NO):
                raise refused
            return said.lower() in YES
        case "names":
            return said if said in field.choices else _items(said)
        case "wholes":
            items = _items(said)
            if not all(item.lstrip("-").isdecimal() and len(item) < LONGEST_NUMBER for item in items):
                raise refused
            return [int(item) for item in items]
        case _:
            return said


def _number(field: FormField, said: str, refused: NotAccepted) -> int | float:
    try:
        if len(said) > LONGEST_NUMBER:
            raise ValueError
        if field.kind == "number":
            return float(said)
        return int(said.replace(",", "").replace("_", ""))
    except ValueError:
        raise refused from None


def _items(said: str) -> list[str]:
    """Read a list: with commas or spaces between, or as TOML has it."""
    if said.startswith("["):
        try:
            found = json.loads(said)
        except ValueError:
            found = None
        if isinstance(found, list):
            return [str(item) for item in found]
    return [item for item in said.strip("[]").replace(",", " ").split() if item]
