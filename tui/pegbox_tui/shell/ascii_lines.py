"""Lines for terminals without Unicode: frames, blocks, arrows and marks become ASCII, whoever drew them."""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_SIGNS = {
    "-": "─━═╌┄┈╶╴╸╺‐‑‒–—−⎯▔",
    "_": "▁‾⎽",
    "|": "│┃║╎┆┊▏▕▎▍╷╵╹╻⎸⎹",
    "+": "┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝╠╣╦╩╬┏┓┗┛┣┫┳┻╋╒╓╕╖╘╙╛╜╞╡╪",
    "#": "█▉▊▋▌▐▓▇▆▅▄▀▙▛▜▟■",
    "=": "▃▂",
    ":": "░▒⋮",
    "*": "●•◉★",
    "o": "○◦◌",
    "x": "×✗✘",
    "v": "✓✔↓▼▽",
    "^": "↑▲△⌃",
    ">": "→▶▸›»❯",
    "<": "←◀◂‹«❮↵⏎≤",
    "'": "‘’′",
    '"': "“”″",
    ".": "·…∙",
    "~": "≈∼",
    "/": "⁄╱",
    "\\": "╲",
}


class _Letters(dict[int, str]):
    """Gives every character as many ASCII characters as it takes cells; each is thought over once."""

    def __missing__(self, code: int) -> str:
        self[code] = written = chr(code) if code < 0x80 else _plain_letter(chr(code))
        return written


def _plain_letter(letter: str) -> str:
    """Write an accented letter without its accent, and what has no such letter as `?`."""
    width = cell_len(letter)
    bare = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return bare if bare.isprintable() and len(bare) == width else "?" * width


_LETTERS = _Letters({ord(sign): plain for plain, signs in _SIGNS.items() for sign in signs})
_LETTERS[ord("⇥")] = ">"


def in_ascii(text: str) -> str:
    """Write a text in ASCII, cell for cell: what stood below each other still does."""
    return text if text.isascii() else text.translate(_LETTERS)


class AsciiLines(LineFilter):
    """Applied to each line that any widget draws, scroll bars and frames too."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - the base class's
        """Give the same segments in ASCII."""
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]
