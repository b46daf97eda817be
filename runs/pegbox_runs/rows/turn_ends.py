"""Where an answer begins and ends in the template's own text around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from itertools import takewhile
from typing import NamedTuple

_ATOM = re.compile(r"<[^<>\s]{1,40}>|\[[^\[\]\s]{1,40}\]|.", re.DOTALL)
"""A token of a template's own, or one character: two of its texts may begin alike within such a token."""
_OPENED_THOUGHT = re.compile(r"<think>\s*(</think>\s*)?\Z")
"""What stands open for the answer at the end of a prompt; TRL's training templates learn it with the answer."""

KEPT_PLACES = 8
"""Of one kind; templates write two or three."""
KEPT_KINDS = 1000


class Spoken(NamedTuple):
    """The template's texts around an answer."""

    before: str
    behind: str
    own: bool
    """Whether a passage of the answer stands between them; else they are one text."""
    last: bool


class KnownPlaces:
    """Places found in the template's own texts, so that no two alike are looked for: each search costs renderings.

    Two texts are alike if they are the same and so are the kinds of the turns around them. Where a text begins with a
    tool call's arguments, which differ from row to row, it's enough that both end alike from before the place on.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, list[tuple[str, int]]] = {}

    def place(self, kinds: Hashable, text: str, find: Callable[[], int], *, by_ending: bool = False) -> int:
        """Give the place in a text that stands between turns of such kinds; `find` is asked where it isn't known."""
        alike = (kinds, None if by_ending else text)
        for ending, behind in self._known.get(alike, ()):
            if text.endswith(ending):
                return len(text) - behind
        found = find()
        self._keep(alike, text, len(text) - found)
        return found

    def _keep(self, kind: Hashable, text: str, behind: int) -> None:
        if len(self._known) >= KEPT_KINDS and kind not in self._known:
            self._known.clear()
        known = self._known.setdefault(kind, [])
        for number, (ending, also_behind) in enumerate(known):
            pairs = zip(reversed(ending), reversed(text), strict=False)
            alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            if also_behind == behind < alike:
                known[number] = (ending[-alike:], behind)
                return
        known.append((text, behind))
        del known[:-KEPT_PLACES]


def behind_header(spoken: Spoken, prompt: str | None, header: str) -> int | None:
    """Find where the header of an answer ends, by what a prompt for that answer ends with."""
    before, begins = spoken.before, []
    if prompt is not None:
        prompt = without_thought(prompt)
        if before.startswith(prompt) or prompt.startswith(before):
            begins.append(min(len(prompt), len(before)))
    if header.strip() and (spoken.own or not begins):
        # Some templates write a header there that they leave out of a prompt, as behind a tool's answer.
        found = before.rfind(header) if spoken.own else before.find(header)
        begins += [found + len(header)] if found >= 0 else []
    return max(begins, default=None)


def through_close(behind: str, following: str | None, closing: str | None, header: str) -> int:
    """Find where an answer's turn ends, by what the template writes behind it before another header, or at the end."""
    following = None if following is None else without_thought(following)
    if following is not None and header and following.endswith(header):
        close = following.removesuffix(header)
        if behind.startswith(close):
            return len(close)
    return max(alike_from_start(behind, tail) for tail in (closing, following, "") if tail is not None)


def without_thought(prompt: str) -> str:
    """Leave out a block of reasoning that a prompt ends with, open or empty: it belongs to the answer."""
    return _OPENED_THOUGHT.sub("", prompt)


def alike_from_start(one: str, other: str) -> int:
    """Count the characters with which both begin, in whole tokens of the template."""
    if one.startswith(other) or other.startswith(one):
        return min(len(one), len(other))
    pairs = zip(_ATOM.findall(one), _ATOM.findall(other), strict=False)
    return sum(len(atom) for atom, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
