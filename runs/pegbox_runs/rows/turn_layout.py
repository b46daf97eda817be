"""A rendered conversation in two kinds of pieces: what people wrote, and what the template writes between."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Hole(NamedTuple):
    """A passage that people wrote."""

    messages: list[int]
    """Whose it is: one turn's, or in order those of several equal questions."""
    text: str


class Point(NamedTuple):
    """A place in a template's own text."""

    literal: int
    offset: int


@dataclass(frozen=True)
class Layout:
    """A conversation with stand-ins, rendered."""

    literals: tuple[str, ...]
    """The template's own texts, one more than there are holes."""
    holes: tuple[int, ...]
    """Which passage stands between them."""
    answers: tuple[tuple[Point, Point], ...]


def owners_of(inside: Sequence[int], holes: Sequence[Hole]) -> list[int]:
    """Say which turn each passage of a layout belongs to."""
    seen: Counter[int] = Counter()
    owners = []
    for hole in inside:
        whose = holes[hole].messages
        owners.append(whose[min(seen[hole], len(whose) - 1)])
        seen[hole] += 1
    return owners


def fitted(layout: Layout, holes: Sequence[Hole], text: str) -> list[int] | None:
    """Lay a layout over a text. Returns: where each literal begins; None: it doesn't fit."""
    first = layout.literals[0]
    if not text.startswith(first):
        return None
    places, behind = [0], len(first)
    for hole, literal in zip(layout.holes, layout.literals[1:], strict=True):
        for said in _ways(holes[hole].text):
            stop = behind + len(said)
            if text.startswith(said, behind) and text.startswith(literal, stop):
                break
        else:
            return None
        places.append(stop)
        behind = stop + len(literal)
    return places if behind == len(text) else None


def _ways(text: str) -> Iterator[str]:
    """List how templates write a passage: as it is, without blanks around it, or in JSON."""
    yield text
    yield text.strip()
    yield text.strip("\n")
    yield text.lstrip()
    yield text.rstrip()
    yield text.lstrip("\n")
    yield text.rstrip("\n")
    yield json.dumps(text, ensure_ascii=False)[1:-1]
