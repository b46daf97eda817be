"""Why a line of JSON can't be taken: msgspec says it tersely, and to people it must be said with the place."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from pegbox_runs.printable import one_line

NESTING = 100
"""Levels of lists and objects in a row. Real rows have ten; a thousand make Python itself give up."""
TOO_DEEP = f"is nested more than {NESTING} levels deep"
KINDS = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false", type(None): "null"}


def why_not(line: bytes) -> str:
    """Say in a clause what is wrong with the JSON of one row; byte and column count from 1."""
    line = line.strip(b"\r\n")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        return f"isn't UTF-8 at byte {error.start + 1} (0x{line[error.start]:02x})"
    if "\0" in text:
        return f"holds a NUL byte at column {text.index(chr(0)) + 1}"
    try:
        row = json.loads(text, parse_constant=_refuse_constant, parse_float=_refuse_infinite)
        half = half_character(json.dumps(row, ensure_ascii=False))
    except json.JSONDecodeError as error:
        return _where(error, text)
    except RecursionError:
        return TOO_DEEP
    except ValueError as error:
        return str(error) if isinstance(error, _NoNumber) else "holds a number of thousands of digits"
    if not isinstance(row, dict):
        return f"is not an object with named fields but {KINDS.get(type(row), 'something else')}: {one_line(text, 80)}"
    return half or "isn't JSON that can be read"


def half_character(text: str) -> str | None:
    """Say if a text holds half of a character pair, which JSON can carry and no tokenizer can take."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"holds half a character ({text[error.start]!a}), as a damaged emoji leaves behind"
    return None


def too_deep(line: bytes, row: Any) -> bool:
    """Tell whether a line's row holds lists and objects within each other more often than is sensible."""
    if len(line) < 2 * NESTING or line.count(b"{") + line.count(b"[") <= NESTING:
        return False
    level = [row]
    for _ in range(NESTING):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


class _NoNumber(ValueError):
    """A number that Python's JSON takes, and that is none."""


def _refuse_constant(word: str) -> NoReturn:
    raise _NoNumber(f"holds {word}, which JSON has no word for; write null, or leave the key out")


def _refuse_infinite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise _NoNumber(f"holds a number that is too large: {digits[:40]}")
    return number


def _where(error: json.JSONDecodeError, text: str) -> str:
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return f"isn't whole JSON: it ends in the middle, at column {len(text) + 1} ({said(error)})"
    if error.msg.startswith("Invalid control character"):
        code = ord(text[error.pos])
        return f"holds the control character U+{code:04X} at column {error.colno}; in JSON it is written \\u{code:04x}"
    return f"isn't valid JSON: {error.msg} at column {error.colno}"


def said(error: json.JSONDecodeError) -> str:
    """Give the decoder's words in a form that a place may follow."""
    return error.msg.removesuffix(" at")
