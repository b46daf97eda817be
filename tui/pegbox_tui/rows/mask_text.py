"""A row token by token: in colors, and in brackets for terminals and eyes that have none."""

from __future__ import annotations

import msgspec
from rich.text import Text

from pegbox_runs.printable import printable
from pegbox_runs.rows.mask_view import MARKS, ShownRow, ShownToken, marked_text

TRAINED = ("#d7ffd7 on #005f00", "#d7ffd7 on #1c7c1c")
"""Two shades by turns, so that one sees where a token ends. Foregrounds are set, for terminals of any background."""
CONTEXT = ("#d0d0d0 on #262626", "#d0d0d0 on #3a3a3a")
TRAINED_SPECIAL = "bold #002b00 on #5fd75f"
CONTEXT_SPECIAL = "#121212 on #949494"
CUT = "strike #767676"
TAB = "⇥   "
NEWLINE = "↵"
MOST_TOKENS = 8000
"""Tokens drawn of one row: more take a terminal seconds."""


def mask_text(row: ShownRow) -> Text:
    """Color each token; line breaks are shown, and really broken."""
    drawn = Text(overflow="fold")
    for number, token in enumerate(row.tokens[:MOST_TOKENS]):
        drawn.append(visible(token.text), style_of(token, number))
    return drawn.append(_more(row))


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


def bracketed(row: ShownRow) -> Text:
    """Put brackets around what is trained."""
    tokens = (msgspec.structs.replace(token, text=visible(token.text)) for token in row.tokens[:MOST_TOKENS])
    return Text(marked_text(msgspec.structs.replace(row, tokens=tuple(tokens))), overflow="fold").append(_more(row))


def bracket_legend() -> Text:
    """Say what the brackets mean."""
    return Text("trained".join(MARKS) + " context")


def visible(text: str) -> str:
    """Show what can't be seen: line breaks, tabs, control characters."""
    return printable(text).replace("\t", TAB).replace("\n", f"{NEWLINE}\n")


def tokens_in_words(row: ShownRow) -> str:
    """Count a row's tokens: all, trained, cut away."""
    cut = "" if row.truncated_at is None else f", {row.length - row.truncated_at:,} cut away"
    return f"{row.length:,} tokens, {row.trained:,} trained{cut}"


def _more(row: ShownRow) -> Text:
    """Say that a row is longer than what is drawn."""
    rest = len(row.tokens) - MOST_TOKENS
    return Text(f"\n… and {rest:,} more tokens, not drawn" if rest > 0 else "", "yellow")
