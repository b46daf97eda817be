"""A chat template taken apart by what it writes: the texts before and behind each turn, found with marked contents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from pegbox_runs.rows.chat_template import ChatTemplate, NoTemplate
from pegbox_runs.rows.example import Message

SYSTEM, ASKED, SAID = "Qsystemq", "Qasked{}q", "Qsaid{}q"
"""Contents that no template writes by itself."""


class NotTakenApart(Exception):
    """The template doesn't put fixed strings around contents; `str` says in a clause what it does."""


@dataclass(frozen=True)
class Parts:
    """What is written around contents, of a conversation that ends with a question."""

    begin: str
    """Before everything, where nobody gives a system prompt; a default one of the template's is in it."""
    asks: str
    """Before a question."""
    asked: str
    """Behind a question that was answered, up to the answer."""
    answers: str
    """Behind a question that waits for its answer."""
    said: str
    """Behind an answer."""
    system: System | None
    """None: the template takes no system prompt."""


@dataclass(frozen=True)
class System:
    """Where a system prompt goes."""

    place: str
    """`front`: before the first question; `first` or `last`: into the first or the last question's turn."""
    before: str
    """Before it: `front`: from the very beginning of the text on."""
    behind: str


def parts_of(template: ChatTemplate, ends: Iterable[str]) -> Parts:
    """Take a template apart. `ends`: the texts of the tokens that end an answer.

    Raises: NotTakenApart.
    """
    begins, answers = _split(_written(template, _turns(1)), ASKED.format(1))
    head, asked, between, rest = _split(_written(template, _turns(2)), ASKED.format(1), SAID.format(1), ASKED.format(2))
    if (head, rest) != (begins, answers):
        raise NotTakenApart("what it writes around a question depends on the turns behind or before it")
    system = _system(template, begins)
    told = begins if system is None or system.place != "front" else system.behind
    asks = _shared_end(begins, between[_end_of_turn(between, ends) :], told)
    said = between[: len(between) - len(asks)]
    if system is not None and system.place == "front":
        system = System("front", system.before, _without(system.behind, asks))
    return Parts(_without(begins, asks), asks, asked, answers, said, system)


def _turns(questions: int, system: str | None = None) -> list[Message]:
    """Write a conversation that ends with a question."""
    turns = [] if system is None else [Message("system", system)]
    for number in range(1, questions + 1):
        turns.append(Message("user", ASKED.format(number)))
        if number < questions:
            turns.append(Message("assistant", SAID.format(number)))
    return turns


def _written(template: ChatTemplate, turns: list[Message]) -> str:
    try:
        return template.render(turns, prompting=True).text
    except NoTemplate as error:
        raise NotTakenApart(error.reason) from error


def _split(text: str, *marks: str) -> list[str]:
    """Cut a text at marks, each of which must be in it once, in this order. Raises: NotTakenApart."""
    parts = []
    for mark in marks:
        if text.count(mark) != 1:
            raise NotTakenApart("it leaves contents out, changes them, or writes them twice or in another order")
        before, _, text = text.partition(mark)
        parts.append(before)
    return [*parts, text]


def _system(template: ChatTemplate, begins: str) -> System | None:
    """Find where a system prompt goes. Raises: NotTakenApart."""
    try:
        once = _written(template, _turns(1, SYSTEM))
    except NotTakenApart:
        return None
    if SYSTEM not in once:
        return None
    before, behind, _ = _split(once, SYSTEM, ASKED.format(1))
    if not before.startswith(begins):
        return System("front", before, behind)
    inside = before[len(begins) :]
    twice = _written(template, _turns(2, SYSTEM))
    if twice.find(SYSTEM) > twice.find(ASKED.format(1)):
        return System("last", inside, behind)
    # One that writes nothing before a system prompt (DeepSeek's) seems to put it into the first turn.
    in_front = bool(begins) and behind.endswith(begins)
    return System("front", before, behind) if in_front else System("first", inside, behind)


def _end_of_turn(between: str, ends: Iterable[str]) -> int:
    """Find where an answer's turn is over: behind the first token that ends one, and the blanks that follow it."""
    found = [(between.find(end), end) for end in ends if end and end in between]
    if not found:
        return 0
    place, end = min(found)
    behind = between[place + len(end) :]
    return place + len(end) + len(list(takewhile(str.isspace, behind)))


def _shared_end(*texts: str) -> str:
    """Give the longest text that all end with."""
    shortest = min(texts, key=len)
    return next(shortest[cut:] for cut in range(len(shortest) + 1) if all(t.endswith(shortest[cut:]) for t in texts))


def _without(text: str, end: str) -> str:
    return text[: len(text) - len(end)]
