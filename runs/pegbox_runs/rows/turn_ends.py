"""Where an answer begins and ends in the template's own text around it."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import NamedTuple

_ATOM = re.compile(r"<[^<>\s]{1,40}>|\[[^\[\]\s]{1,40}\]|.", re.DOTALL)
"""A token of a template's own, or one character: two of its texts may begin alike within such a token."""
_OPENED_THOUGHT = re.compile(r"<think>\s*(</think>\s*)?\Z")
"""What stands open for the answer at the end of a prompt; TRL's training templates learn it with the answer."""


class Spoken(NamedTuple):
    """The template's texts around an answer."""

    before: str
    behind: str
    own: bool
    """Whether a passage of the answer stands between them; else they are one text."""
    last: bool


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
