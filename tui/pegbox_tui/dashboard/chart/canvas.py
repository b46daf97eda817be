"""Cells of dots: braille, two wide and four high in each, or ASCII, one wide and two high."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from rich.text import Text

Ink = Literal["raw", "smoothed"]
"""What a dot belongs to; the later one is drawn over the earlier."""

INKS: dict[Ink, str] = {"raw": "cyan", "smoothed": "bold"}
BRAILLE_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
ASCII_RAW = (" ", "'", ".", ":")
ASCII_SMOOTHED = "*"


class Canvas:
    """A picture of `width` by `height` cells. Dots are counted from the left and from the top."""

    def __init__(self, width: int, height: int, *, ascii: bool) -> None:  # noqa: A002 - Look's own word
        self.width, self.height, self._ascii = width, height, ascii
        self.dots_wide = width * (1 if ascii else 2)
        self.dots_high = height * (2 if ascii else 4)
        self._dots = {ink: [bytearray(width) for _ in range(height)] for ink in INKS}
        self._signs: dict[tuple[int, int], tuple[str, str]] = {}
        self._cursor: int | None = None

    def dot(self, ink: Ink, x: int, y: int) -> None:
        """Set one dot."""
        if self._ascii:
            self._dots[ink][y // 2][x] |= 1 << y % 2
        else:
            self._dots[ink][y // 4][x // 2] |= BRAILLE_DOTS[x % 2][y % 4]

    def bar(self, ink: Ink, x: int, top: int, bottom: int, *, thin: bool = False) -> None:
        """Set the dots of a column from one to another; of a thin one every other, but always both ends."""
        for y in range(top, bottom + 1):
            if not thin or y in {top, bottom} or (x + y) % 2 == 0:
                self.dot(ink, x, y)

    def sign(self, x: int, y: int, sign: str, style: str) -> None:
        """Put a character over the cell of a dot."""
        across, down = (1, 2) if self._ascii else (2, 4)
        self._signs[x // across, y // down] = (sign, style)

    def cursor(self, column: int) -> None:
        """Draw a line from top to bottom through a column of cells."""
        self._cursor = column

    def rows(self) -> Iterable[Text]:
        """Give the picture, a text a row."""
        for row in range(self.height):
            text = Text(no_wrap=True, end="")
            cells = [self._cell(column, row) for column in range(self.width)]
            begin = 0
            for column in range(1, self.width + 1):  # cells of one style are one piece: fewer bytes
                if column == self.width or cells[column][1] != cells[begin][1]:
                    text.append("".join(sign for sign, _ in cells[begin:column]), cells[begin][1])
                    begin = column
            yield text

    def _cell(self, column: int, row: int) -> tuple[str, str]:
        sign, style = self._signs.get((column, row)) or self._dotted(column, row)
        if column == self._cursor:
            return ("|" if self._ascii else "│", "bold") if sign == " " else (sign, f"{style} reverse")
        return sign, style

    def _dotted(self, column: int, row: int) -> tuple[str, str]:
        for ink in ("smoothed", "raw"):
            dots = self._dots[ink][row][column]
            if dots:
                if self._ascii:
                    return (ASCII_SMOOTHED if ink == "smoothed" else ASCII_RAW[dots]), INKS[ink]
                return chr(0x2800 + dots), INKS[ink]
        return " ", ""
