"""Text from outside (rows, names, logs) made safe to put on a terminal."""

from __future__ import annotations

import re

# C0 and C1 controls except newline and tab, and the marks that reorder or hide text.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Show control characters as escapes, so that they are seen and never act: ESC becomes `\x1b`."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def one_line(text: str, width: int) -> str:
    """Fold text into one printable line of at most `width` characters, cut with an ellipsis."""
    line = " ".join(printable(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"
