"""Cells of dots: braille, two wide and four high in each, or ASCII, one wide and two high."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rich.text import Text


class Ink(NamedTuple):
    """What a dot belongs to, and how it is drawn."""

    style: str
    layer: int = 0
    """Those of a higher one are drawn over the others."""
    sign: str = ""
    """For any of its dots in ASCII; empty: a sign that shows where in the cell they lie."""


RAW, SMOOTHED = Ink("cyan"), Ink("bold", 1, "*")
BRAILLE_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
ASCII_DOTS = (" ", "'", ".", ":")


class Canvas:
    """A picture of `width` by `height` cells. Dots are counted from the left and from the top."""

    def __init__(self, width: int, height: int, *, ascii: bool) -> None:  # noqa: A002 - Look's own word
        self.width, self.height, self._ascii = width, height, ascii
        self.dots_wide = width * (1 if ascii else 2)
        self.dots_high = height * (2 if ascii else 4)
        self._dots: dict[Ink, list[bytearray]] = {}
        self._signs: dict[tuple[int, int], tuple[str, str]] = {}
        self._cursor: int | None = None

    def dot(self, ink: Ink, x: int, y: int) -> None:
        """Set one dot."""
        dots = self._dots.get(ink)
        if dots is None:
            dots = self._dots[ink] = [bytearray(self.width) for _ in range(self.height)]
        if self._ascii:
            dots[y // 2][x] |= 1 << y % 2
        else:
            dots[y // 4][x // 2] |= BRAILLE_DOTS[x % 2][y % 4]

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
        inks = sorted(self._dots, key=lambda ink: ink.layer)
        for row in range(self.height):
            text = Text(no_wrap=True, end="")
            cells = self._dotted(row, inks)
            for column in range(self.width):
                cells[column] = self._marked(column, row, *cells[column])
            begin = 0
            for column in range(1, self.width + 1):  # cells of one style are one piece: fewer bytes
                if column == self.width or cells[column][1] != cells[begin][1]:
                    text.append("".join(sign for sign, _ in cells[begin:column]), cells[begin][1])
                    begin = column
            yield text

    def _marked(self, column: int, row: int, sign: str, style: str) -> tuple[str, str]:
        sign, style = self._signs.get((column, row), (sign, style))
        if column == self._cursor:
            return ("|" if self._ascii else "│", "bold") if sign == " " else (sign, f"{style} reverse")
        return sign, style

    def _dotted(self, row: int, inks: Iterable[Ink]) -> list[tuple[str, str]]:
        """Give the cells of a row by the dots in them, those of the highest layer where there are several."""
        cells = [(" ", "")] * self.width
        for ink in inks:
            for column, dots in enumerate(self._dots[ink][row]):
                if dots:
                    sign = (ink.sign or ASCII_DOTS[dots]) if self._ascii else chr(0x2800 + dots)
                    cells[column] = sign, ink.style
        return cells
