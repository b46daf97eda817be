"""Text from outside (rows, names, logs) made safe to put on a terminal."""

from __future__ import annotations

import json
import re

# C0 and C1 controls except newline and tab, the marks that reorder or hide text, and the invisible tag letters.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    r"""Show control characters as escapes, so that they are seen and never act: ESC becomes `\x1b`."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def printable_json(line: bytes) -> bytes:
    r"""Write such characters of a JSON text as `\uXXXX`: it means the same, and does nothing to a terminal."""
    return _UNSAFE.sub(lambda match: json.dumps(match[0])[1:-1], line.decode("utf-8")).encode("utf-8")


def one_line(text: str, width: int) -> str:
    """Fold text into one printable line of at most `width` characters, cut with an ellipsis."""
    line = " ".join(printable(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"
