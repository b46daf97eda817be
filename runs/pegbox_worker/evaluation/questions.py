"""Rows as questions: which are asked, and what people are shown of a row."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any, NamedTuple

from pegbox_runs.rows.example import Conversation, Example, PlainText
from pegbox_worker.evaluation.rows import JudgedRows
from pegbox_worker.questions import Asker, Question
from pegbox_worker.tokens import question_of

SHOWN_CHARACTERS = 2000
"""Of a question or an answer, so many are kept in a record."""


class Asking(NamedTuple):
    """How questions are put."""

    tokenizer: Any
    tokens: int
    """Longest answer."""
    length: int
    """Of question and answer together, at most."""
    ends: Set[int]

    def question(self, example: Example) -> Question | None:
        """Make a row's question; None: it is plain text, or leaves no room for an answer."""
        asker = Asker((example,), self.tokenizer, count=1, tokens=self.tokens, length=self.length, ends=self.ends)
        return next(iter(asker.questions), None)

    def first(self, rows: JudgedRows, count: int) -> dict[int, Question]:
        """Make the questions of the first rows that have one, `count` at most, by the rows' places."""
        found: dict[int, Question] = {}
        if not count:
            return found
        for place, example in rows.examples():
            question = self.question(example)
            if question is not None:
                found[place] = question
            if len(found) == count:
                break
        return found

    def texts(self, example: Example) -> tuple[str, str]:
        """Give what people read of a row: its question, which plain text has none of, and what it answers."""
        if isinstance(example, PlainText):
            return "", example.text[:SHOWN_CHARACTERS]
        found = question_of(example, self.tokenizer)
        if found is not None:
            return found[0][:SHOWN_CHARACTERS], found[2][:SHOWN_CHARACTERS]
        said = example.messages[-1].content if isinstance(example, Conversation) else ""
        return "", said[:SHOWN_CHARACTERS]


def examples_at(rows: JudgedRows, places: Iterable[int]) -> dict[int, Example]:
    """Look rows up as they are, by their places."""
    missing, found = set(places), {}
    for place, example in rows.examples() if missing else ():
        if place in missing:
            found[place] = example
            missing.discard(place)
        if not missing:
            break
    return found
