"""What a report is made of, before it is a page or Markdown. Texts may hold anything; whoever writes them escapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup


@dataclass(frozen=True)
class Said:
    """A paragraph."""

    text: str
    tone: Literal["plain", "quiet", "remark", "bad"] = "plain"


@dataclass(frozen=True)
class Pairs:
    """What is so, and how much."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Grid:
    """A table."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    """Places of the columns that hold figures, from 0."""
    caption: str = ""


@dataclass(frozen=True)
class Verbatim:
    """A text as it is: an answer of the model, a recipe, a failure."""

    label: str
    text: str
    language: str = ""
    tone: Literal["plain", "bad"] = "plain"


@dataclass(frozen=True)
class Drawn:
    """A chart; Markdown has what it says in words."""

    picture: Markup
    caption: str
    said: str
    legend: Markup | None = None
    broad: bool = False


Part = Said | Pairs | Grid | Verbatim | Drawn


@dataclass(frozen=True)
class Section:
    """One heading with what is under it."""

    key: str
    """Unique in the page."""
    title: str
    parts: tuple[Part, ...]
