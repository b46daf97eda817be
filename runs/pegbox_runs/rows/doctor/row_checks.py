"""What can be wrong with one row by itself: one table, and the one loop that goes through it.

A row passes here in millionths of a second, so that each check first looks for a mark in the row's bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from pegbox_runs.rows.doctor.mending import find_controls, find_damage
from pegbox_runs.rows.doctor.secrets import MARKS, find_secret
from pegbox_runs.rows.report import Level
from pegbox_runs.rows.survey.texts import Texts

Fix = Literal["leaves out", "mends"] | None


class RowCheck(NamedTuple):
    """One thing to look for in every row."""

    name: str
    title: str
    text: str
    """One sentence: what it is, and why it matters."""
    todo: str
    suspect: Callable[[Texts, bytes], bool]
    """Whether a closer look is worth its time, told from the row's texts and its JSON in UTF-8."""
    find: Callable[[Texts], str | None]
    """What is wrong there, to be shown; None if nothing is."""
    level: Level = "yellow"
    fix: Fix = None
    source: str = ""


def _empty(texts: Texts) -> str | None:
    for number, answer in enumerate(texts.answers, start=1):
        if not answer.strip():
            return f"answer {number} of {len(texts.answers)} is empty, to: {texts.asked}"
    return None


def _one_word(texts: Texts) -> str | None:
    if not texts.asked:
        return None
    answer = texts.answers[-1]
    return f"{answer.strip()}, to: {texts.asked}" if len(answer) < 60 and len(answer.split(None, 1)) == 1 else None


def _echo(texts: Texts) -> str | None:
    asked, answer = texts.asked.strip(), texts.answers[-1].strip()
    return f"asked and answered: {asked}" if asked and asked == answer else None


_REFUSAL = re.compile(
    r"as an (?:AI|artificial intelligence)(?: language)? (?:model|assistant)"
    r"|I(?:'m| am) (?:just |only )?an? (?:AI|language model)\b"
    r"|I(?:'m| am) sorry, but I (?:can(?:'t|not)|am (?:not able|unable) to) (?:assist|help|fulfil)",
    re.IGNORECASE,
)


def _refusal(texts: Texts) -> str | None:
    for answer in texts.answers:
        if found := _REFUSAL.search(answer[:2000]):
            return answer[max(0, found.start() - 20) : found.end() + 80]
    return None


def _unanswered(texts: Texts) -> str | None:
    return None if texts.answered else f"the last turn isn't the assistant's: {texts.asked[-150:]}"


def _first(find: Callable[[str], str | None]) -> Callable[[Texts], str | None]:
    return lambda texts: next((shown for text in texts.all if (shown := find(text)) is not None), None)


def _may_hold_controls(_: Texts, encoded: bytes) -> bool:
    # How JSON writes the controls below a space; the others take more than one byte, but for DEL.
    if b"\\" in encoded and (b"\\u00" in encoded or b"\\b" in encoded or b"\\f" in encoded):
        return True
    return b"\x7f" in encoded or b"\xc2" in encoded or b"\xef" in encoded


def _holding(*marks: bytes) -> Callable[[Texts, bytes], bool]:
    """Look for marks. One byte is found ten times as fast as several, so each mark's rarest is looked for first."""
    by_byte: dict[bytes, list[bytes]] = {}
    for mark in marks:
        rarest = next(byte for byte in RARE_BYTES if byte in mark.decode())
        by_byte.setdefault(rarest.encode(), []).append(mark)
    groups = tuple((byte, tuple(group)) for byte, group in by_byte.items())

    def look(_: Texts, encoded: bytes) -> bool:
        for byte, group in groups:
            if byte in encoded:
                for mark in group:
                    if mark in encoded:
                        return True
        return False

    return look


RARE_BYTES = "_JKzxS-Io"
"""In most languages, the rarest first."""

ROW_CHECKS = (
    RowCheck(
        "empty-answers",
        "empty answers",
        "The assistant says nothing there, and the model would learn to do so too.",
        "Write the answers, or leave the rows out.",
        lambda texts, _: any([not answer or answer.isspace() for answer in texts.answers]),  # noqa: C419
        _empty,
        fix="leaves out",
    ),
    RowCheck(
        "encoding-damage",
        "letters that were decoded wrongly",
        "The model would learn to write them so.",
        "Read the texts again as UTF-8 where they come from; or have them mended, and rows left out where a letter "
        "is lost.",
        lambda _, encoded: not encoded.isascii(),
        _first(find_damage),
        fix="mends",
        source="ftfy's heuristic (ftfy.badness), where ftfy also knows the mending; or U+FFFD",
    ),
    RowCheck(
        "control-characters",
        "control characters",
        "Nobody sees them, terminals act on them, and tokenizers make rare tokens of them.",
        "Remove them.",
        _may_hold_controls,
        _first(find_controls),
        fix="mends",
        source="Unicode's C0 and C1 controls but for tab and line breaks, and U+FEFF",
    ),
    RowCheck(
        "secrets",
        "texts that look like keys and passwords",
        "A model that learned them tells them to whoever asks.",
        "Leave the rows out, or put a placeholder in; and withdraw the keys if they are real.",
        _holding(*MARKS),
        _first(find_secret),
        fix="leaves out",
        source="the forms that their makers document; Carlini et al. 2021, arXiv:2012.07805, for how models tell them",
    ),
    RowCheck(
        "echoes",
        "answers that repeat the question",
        "There is nothing to learn from them but to repeat.",
        "Look at how the columns were chosen; leave such rows out.",
        lambda texts, _: bool(texts.asked) and len(texts.answers[-1].strip()) == len(texts.asked.strip()),
        _echo,
    ),
    RowCheck(
        "unanswered",
        "conversations that don't end with an answer",
        "Their last turns are read by the model, but nothing is learned from them.",
        "Add the answers, or cut the last turns.",
        lambda texts, _: not texts.answered,
        _unanswered,
        level="green",
    ),
    RowCheck(
        "one-word-answers",
        "answers of one word",
        "That is right for labels; among longer answers it makes the model curt.",
        "Keep them if they are labels; otherwise write them out.",
        lambda texts, _: len(texts.answers[-1]) < 60,
        _one_word,
    ),
    RowCheck(
        "refusals",
        "answers in which an assistant speaks of itself or declines",
        "They come from another model, and yours would learn to decline as well.",
        "Keep them if that is wanted; otherwise leave them out.",
        _holding(b" AI", b"sorry, but I", b"anguage model"),
        _refusal,
        level="green",
    ),
)
TITLES = {check.name: check.title for check in ROW_CHECKS}
BITS = {check.name: 1 << place for place, check in enumerate(ROW_CHECKS)}


def flags_of(texts: Texts, encoded: bytes) -> int:
    """Look at a row. Returns: one bit for each check of the table that finds something."""
    flags = 0
    for bit, suspect, find in _LOOKS:
        if suspect(texts, encoded) and find(texts) is not None:
            flags |= bit
    return flags


_LOOKS = tuple((BITS[check.name], check.suspect, check.find) for check in ROW_CHECKS)
