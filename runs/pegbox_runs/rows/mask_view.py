"""A row as the model sees it, for people: which of its tokens are trained, with and without colour."""

from __future__ import annotations

import re
from itertools import groupby

import msgspec

from pegbox_runs.printable import one_line, printable
from pegbox_runs.rows.example import Conversation, Example
from pegbox_runs.rows.masking import IGNORED, MaskedRow, mask_rows
from pegbox_runs.rows.row_tokenizer import RowTokenizer

MARKS = ("⟦", "⟧")
ASCII_MARKS = ("[[", "]]")
_IMITATED = re.compile("[⟦⟧]")
_IMITATED_ASCII = re.compile(r"\A[\[\]]|[\[\]]\Z|\[(?=\[)|\](?=\])")
"""Also a single bracket where a mark may stand beside it."""
SPECIAL_SHOWN = 60
"""Letters that a note shows of a passage."""


class ShownToken(msgspec.Struct, frozen=True, omit_defaults=True):
    """One token. Its text comes from outside: show it through printable()."""

    text: str
    """Its characters in the row. Where one character is made of several tokens, the first has it and the rest none."""
    trained: bool = False
    special: bool = False
    cut: bool = False
    """Whether it lies behind the length limit."""


class ShownRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row in tokens."""

    tokens: tuple[ShownToken, ...]
    length: int
    """Tokens of the whole row."""
    trained: int
    """Tokens that carry a label and aren't cut."""
    truncated_at: int | None
    """The limit, where the row is longer."""
    notes: tuple[str, ...] = ()
    """Sentences on what is unusual in this row; printable."""


def show_row(example: Example, tokenizer: RowTokenizer, length: int) -> ShownRow:
    """Render, tokenize and label one row, cut at `length` tokens.

    Raises: Refusal: the chat template fails on it, or it can't be told what is its answer.
    """
    (row,) = mask_rows([example], tokenizer)
    return shown(row, tokenizer, length, special_in_text(example, tokenizer))


def shown(row: MaskedRow, tokenizer: RowTokenizer, length: int, found_special: str | None = None) -> ShownRow:
    """Show a row that was masked already."""
    texts = _texts(row, tokenizer)
    tokens = tuple(
        ShownToken(text, label != IGNORED, token in tokenizer.special, place >= length)
        for place, (text, token, label) in enumerate(zip(texts, row.ids, row.labels, strict=True))
    )
    trained = sum(token.trained and not token.cut for token in tokens)
    return ShownRow(
        tokens=tokens,
        length=len(tokens),
        trained=trained,
        truncated_at=length if len(tokens) > length else None,
        notes=tuple(_notes(row, tokens, trained, length, found_special)),
    )


def marked_text(row: ShownRow, *, width: int = 0, tokens: int = 0, ascii_only: bool = False) -> str:
    """Write a row without colour: trained passages stand in brackets, line breaks as they are.

    Brackets of the row's own that look like those are written as escapes.
    `width` folds lines (0: not); `tokens` shows at most so many on either side of where the first trained passage
    begins (0: all). What is cut away is told, not shown.
    """
    opened, closed = ASCII_MARKS if ascii_only else MARKS
    kept = [token for token in row.tokens if not token.cut]
    first = next((place for place, token in enumerate(kept) if token.trained), len(kept))
    begin, stop = (max(0, first - tokens), first + tokens) if tokens else (0, len(kept))
    more = "..." if ascii_only else "…"
    pieces = [more] if begin else []
    for trained, passage in groupby(kept[begin:stop], key=lambda token: token.trained):
        text = _unmarked("".join(printable(token.text) for token in passage), ascii_only=ascii_only)
        pieces.append(f"{opened}{text}{closed}" if trained else text)
    pieces.append(more if stop < len(kept) else "")
    if row.truncated_at is not None:
        lost = sum(token.trained and token.cut for token in row.tokens)
        pieces.append(f"\n({row.length - row.truncated_at} more tokens are cut away, {lost} of them trained)")
    return "\n".join(_folded("".join(pieces), width))


def _unmarked(text: str, *, ascii_only: bool) -> str:
    """Escape what would look like a mark, and with `ascii_only` all that a plain terminal lacks."""
    imitated = _IMITATED_ASCII if ascii_only else _IMITATED
    text = imitated.sub(lambda found: f"\\x{ord(found[0]):02x}" if ascii_only else f"\\u{ord(found[0]):04x}", text)
    return text.encode("ascii", "backslashreplace").decode() if ascii_only else text


def special_in_text(example: Example, tokenizer: RowTokenizer) -> str | None:
    """Find one of the model's special tokens written out in a row's own text.

    The tokenizer would take it for the real one: an injected turn, or a text to which a template was applied before.

    Returns: the token as it is written, the longest where several begin at one place; None: there is none.
    """
    texts = (
        [text for m in example.messages for text in (m.content, m.reasoning, *(c.arguments for c in m.tool_calls))]
        if isinstance(example, Conversation)
        else list(msgspec.structs.astuple(example))
    )
    names = tokenizer.special_texts
    for text in texts:
        found = names.search(text) if names else None
        if found is not None:
            return str(found[0])
    return None


def _texts(row: MaskedRow, tokenizer: RowTokenizer) -> list[str]:
    """Give each token its characters; a character that several tokens share goes to the first of them."""
    texts, behind = [], 0
    for token, (first, last) in zip(row.ids, row.offsets, strict=True):
        if (first, last) == (0, 0):
            texts.append(tokenizer.show(token) if token in tokenizer.special else "")
            continue
        # White space that a tokenizer trims from the offsets belongs to the token before which it stands.
        texts.append(row.text[behind : max(last, behind)])
        behind = max(last, behind)
    return texts


def _notes(row: MaskedRow, tokens: tuple[ShownToken, ...], trained: int, length: int, special: str | None) -> list[str]:
    notes = []
    if not trained:
        notes.append("Nothing of this row is trained.")
    if len(tokens) > length:
        lost = sum(token.trained and token.cut for token in tokens)
        notes.append(f"It is cut at {length} of {len(tokens)} tokens and loses {lost} trained ones.")
    if row.rewritten:
        notes.append("The chat template leaves out or changes a part of an answer, as some do with reasoning.")
    if special is not None:
        notes.append(
            f"Its text holds the special token {one_line(special, SPECIAL_SHOWN)!r}, which acts as a real one."
        )
    return notes


def _folded(text: str, width: int) -> list[str]:
    lines = text.split("\n")
    if width <= 0:
        return lines
    return [line[at : at + width] for line in lines for at in range(0, max(len(line), 1), width)]
