"""A task of one's own: questions, the answers they expect, and how near an answer comes to one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """One question of a task."""

    question: str | list[dict[str, str]]
    """What the user says; or a conversation, as `{"role": ..., "content": ...}` each, that the user speaks last in."""
    expected: str
    """What `score` holds the answer against; how it is written is the task's own matter."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a model is asked by `pegbox evaluate --task NAME`, and how its answers are measured.

    A guest's functions are called in a worker alone, never in the process that shows screens.
    """

    name: str
    summary: str
    rows: Path | Callable[[], Iterable[TaskRow]]
    """A file of JSON lines with `question` and `expected`, or a function that gives the rows, always the same ones."""
    score: Callable[[str, str], float]
    """Of an answer, and of what its row expects: 0 to 1."""
    higher_is_better: bool = True
    max_tokens: int = 64
    """How many tokens an answer may have."""

    def questions(self) -> tuple[TaskRow, ...]:
        """Read the rows, and see to it that they are some.

        Raises: TypeError, ValueError: they aren't what the contract asks for; the message says which; OSError; whatever
        else a guest's function raises.
        """
        found = _read(self.rows) if isinstance(self.rows, Path) else tuple(self.rows())
        if not found:
            raise ValueError("it has no rows")
        for number, row in enumerate(found, start=1):
            fault = _fault(row)
            if fault:
                raise TypeError(f"row {number}: {fault}")
        return found

    def measure(self, answer: str, expected: str) -> float:
        """Ask for the score, and see to it that a guest's function gave one.

        Raises: TypeError: it is no number from 0 to 1; whatever else a guest's function raises.
        """
        found: object = self.score(answer, expected)
        if isinstance(found, bool | int | float) and math.isfinite(found) and 0 <= found <= 1:
            return float(found)
        raise TypeError(f"its score gave back {found!r:.60}, and the contract asks for a number from 0 to 1")


def _read(file: Path) -> tuple[TaskRow, ...]:
    rows = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append(msgspec.json.decode(line, type=TaskRow))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(f"{file.name}, line {number}: {error}") from error
    return tuple(rows)


def _fault(row: object) -> str:
    """Say what is wrong with a row; empty: nothing."""
    if not isinstance(row, TaskRow):
        return f"expected a TaskRow, got {type(row).__name__}"
    if not isinstance(row.expected, str):
        return f"expected: a text, got {type(row.expected).__name__}"
    if isinstance(row.question, str):
        return "" if row.question.strip() else "question: it is empty"
    try:
        turns = msgspec.convert(row.question, list[dict[str, str]])
    except msgspec.ValidationError:
        return "question: expected a text, or a list of turns with role and content"
    if not turns or any(set(turn) != {"role", "content"} for turn in turns) or turns[-1]["role"] != "user":
        return "question: each turn has role and content and nothing else, and the user speaks last"
    return ""
