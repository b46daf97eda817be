"""A row token by token: in colors, and in brackets for terminals and eyes that have none."""

from __future__ import annotations

import msgspec
from rich.text import Text

from pegbox_runs.printable import printable
from pegbox_runs.rows.mask_view import ASCII_MARKS, MARKS, ShownRow, ShownToken, marked_text

TRAINED = ("#d7ffd7 on #005f00", "#d7ffd7 on #1c7c1c")
"""Two shades by turns, so that one sees where a token ends. Foregrounds are set, for terminals of any background."""
CONTEXT = ("#d0d0d0 on #262626", "#d0d0d0 on #3a3a3a")
TRAINED_SPECIAL = "bold #002b00 on #5fd75f"
CONTEXT_SPECIAL = "#121212 on #949494"
CUT = "strike #767676"
TAB = "⇥   "
NEWLINE = "↵"
MOST_TOKENS = 4000
"""Tokens that a screen draws of one row: more take it a second."""


def mask_text(row: ShownRow, *, most: int = MOST_TOKENS, marks: tuple[str, str] = ("", "")) -> Text:
    """Color each token, and put marks around what is trained; line breaks are shown, and really broken."""
    begin, stop = window(row, most)
    drawn = Text(_before(begin), overflow="fold")
    inside = False
    for number in range(begin, stop):
        token = row.tokens[number]
        if _learned(token) != inside:
            drawn.append(marks[inside], TRAINED_SPECIAL)
            inside = not inside
        drawn.append(visible(token.text), style_of(token, number))
    drawn.append(marks[1] if inside else "", TRAINED_SPECIAL)
    return drawn.append(_behind(len(row.tokens) - stop))


def _learned(token: ShownToken) -> bool:
    return token.trained and not token.cut


def window(row: ShownRow, most: int) -> tuple[int, int]:
    """Choose which tokens of a long row are drawn: its beginning, or what is around where training begins."""
    first = next((number for number, token in enumerate(row.tokens) if token.trained), 0)
    begin = 0 if first < most * 3 // 4 else first - most // 4
    return begin, min(len(row.tokens), begin + most)


def style_of(token: ShownToken, number: int) -> str:
    """Choose a token's style; its number decides the shade."""
    if token.cut:
        return CUT
    if token.special:
        return TRAINED_SPECIAL if token.trained else CONTEXT_SPECIAL
    return (TRAINED if token.trained else CONTEXT)[number % 2]


def legend() -> Text:
    """Say what the colors mean."""
    parts = [(" trained ", TRAINED[0]), (" context ", CONTEXT[0]), (" special, trained ", TRAINED_SPECIAL)]
    parts += [(" special ", CONTEXT_SPECIAL), ("cut away", CUT)]
    return Text(" ").join(Text(said, style) for said, style in parts)


def bracketed(row: ShownRow, *, most: int = MOST_TOKENS, ascii_only: bool = False) -> Text:
    """Put brackets around what is trained, on a terminal without Unicode those that it has."""
    begin, stop = window(row, most)
    tokens = tuple(msgspec.structs.replace(token, text=visible(token.text)) for token in row.tokens[begin:stop])
    marked = marked_text(msgspec.structs.replace(row, tokens=tokens), ascii_only=ascii_only)
    return Text.assemble(_before(begin), marked, _behind(len(row.tokens) - stop), overflow="fold")


def bracket_legend(*, ascii_only: bool = False) -> Text:
    """Say what the brackets mean."""
    return Text("trained".join(ASCII_MARKS if ascii_only else MARKS) + " context")


def visible(text: str) -> str:
    """Show what can't be seen: line breaks, tabs, control characters."""
    return printable(text).replace("\t", TAB).replace("\n", f"{NEWLINE}\n")


def tokens_in_words(row: ShownRow) -> str:
    """Count a row's tokens: all, trained, cut away."""
    cut = "" if row.truncated_at is None else f", {row.length - row.truncated_at:,} cut away"
    return f"{row.length:,} tokens, {row.trained:,} trained{cut}"


def _before(tokens: int) -> str:
    return f"({tokens:,} tokens before this are not drawn)\n" if tokens else ""


def _behind(tokens: int) -> str:
    return f"\n({tokens:,} more tokens are not drawn)" if tokens else ""
