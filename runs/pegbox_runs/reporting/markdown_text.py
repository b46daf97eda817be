"""Text from outside in a Markdown file: shown, and never markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from pegbox_runs.printable import printable

_ACTIVE = re.compile(r"([\\`*_\[\]<>|#&~!$])")


def words(text: str) -> str:
    """Write a text of one line that is only text: no markup, no link, no mention."""
    line = " ".join(printable(text).split())
    return _ACTIVE.sub(r"\\\1", line).replace("@", "@<!-- -->").replace("://", ":<!-- -->//")


def code(text: str) -> str:
    """Write a text from outside as it is, in one line."""
    line = " ".join(printable(text).split())
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    room = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{room}{line}{room}{fence}".replace("|", "\\|") if line else ""


def block(text: str, language: str = "") -> Iterator[str]:
    """Write a text of several lines as it is, fenced so that nothing in it ends the fence."""
    shown = printable(text).rstrip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    yield f"{fence}{language}"
    yield from shown.split("\n")
    yield fence


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Write a table; its cells are Markdown already."""
    yield f"| {' | '.join(titles)} |"
    yield "|" + "---|" * len(titles)
    for row in rows:
        yield f"| {' | '.join(row)} |"
