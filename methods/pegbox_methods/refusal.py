"""What Pegbox says when it will not do as asked: one clear sentence, and what would be accepted."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import msgspec


class Refusal(Exception):
    """The request can't be carried out as it stands; nothing was changed. The command line exits with 2.

    The sentence says what was found, what would be accepted, and what to do.
    """

    def __init__(self, sentence: str, *, faults: Sequence[Fault] = ()) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.faults = tuple(faults)


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with a file the user wrote."""

    file: str
    key: str
    """Dotted, as in `training.learning_rate`."""
    value: str | None
    """As written, or None where the key is missing."""
    problem: str
    """What is wrong and what would be accepted, in one clause."""

    def __str__(self) -> str:
        said = self.key if self.value is None else f"{self.key} = {self.value}"
        return f"{self.file}: {said}: {self.problem}"


def refuse_faults(faults: Iterable[Fault]) -> None:
    """Refuse with every fault at once, so that a file needs mending only once.

    Raises: Refusal: there is at least one fault.
    """
    found = tuple(faults)
    if found:
        raise Refusal("\n".join(str(fault) for fault in found), faults=found)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Offer the nearest known name, else all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(names)}"
