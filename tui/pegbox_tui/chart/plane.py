"""Named points in a plane, less being better both ways, and which of them no other beats. Lines of text, no Textual."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.cells import cell_len
from rich.text import Text

from pegbox_tui.chart.scale import HUGE, Scale, brief, round_scale

GUTTER = 8
"""Cells left of the plane, for the values at the axis."""
LOG_FROM = 30.0
"""Times the lowest from which the highest value makes an axis logarithmic."""


@dataclass(frozen=True)
class Point:
    """One of them."""

    x: float
    y: float
    letter: str
    """One cell of ASCII."""
    name: str
    style: str = ""
    chosen: bool = False


def front(points: Sequence[Point]) -> list[Point]:
    """Give those that no other beats both ways, from the left to the right."""
    found: list[Point] = []
    for point in sorted(points, key=lambda one: (one.x, one.y)):
        if not found or point.y < found[-1].y or (point.x, point.y) == (found[-1].x, found[-1].y):
            found.append(point)
    return found


def drawn_plane(
    points: Sequence[Point],
    width: int,
    height: int,
    *,
    ascii: bool,  # noqa: A002 - Look's own word
    unit: float = 1.0,
) -> list[Text]:
    """Draw points on so many cells, the axes among them. `unit`: what values across are divided by at their axis.

    Those on the front stand in brackets and are joined by dots, which show where a better one would have to lie.
    """
    shown = [one for one in points if abs(one.x) < HUGE and abs(one.y) < HUGE]
    plane = _Plane(max(width - GUTTER, 1), max(height - 2, 1))
    if not shown:
        return []
    across = _axis([one.x / unit for one in shown], plane.width // 14)
    down = _axis([one.y for one in shown], plane.height // 3)
    places = {id(one): plane.place(across.share(one.x / unit), down.share(one.y)) for one in shown}
    best = front(shown)
    plane.join([places[id(one)] for one in best])
    order = sorted(shown, key=lambda one: (one.chosen, one in best))
    for one in order:
        plane.put(*places[id(one)], one, bracketed=one in best)
    for one in reversed(order):
        plane.label(*places[id(one)], one)
    labels = {plane.row(down.share(value)): brief(value) for value in (down.low, (down.low + down.high) / 2, down.high)}
    rows = []
    for number, row in enumerate(plane.rows()):
        label = labels.get(number, "")
        text = Text(f"{label:>{GUTTER - 1}}", "dim", no_wrap=True, end="")
        text.append(("+" if ascii else "┤") if label else ("|" if ascii else "│"), "dim")
        rows.append(text + row)
    line = ("+" if ascii else "└") + ("-" if ascii else "─") * plane.width
    return [*rows, Text(" " * (GUTTER - 1) + line, "dim", no_wrap=True), _values_across(across, plane.width)]


def _axis(values: Sequence[float], ticks: int) -> Scale:
    low, high = min(values), max(values)
    return round_scale(low, high, log=low > 0 and high > LOG_FROM * low, ticks=max(2, ticks))


def _values_across(scale: Scale, width: int) -> Text:
    line = [" "] * (GUTTER + width)
    middle = math.sqrt(scale.low * scale.high) if scale.log else (scale.low + scale.high) / 2
    for share, value in ((0.0, scale.low), (0.5, middle), (1.0, scale.high)):
        said = brief(value)
        begin = min(max(GUTTER + round(share * (width - 1)) - len(said) // 2, GUTTER - 1), len(line) - len(said))
        line[begin : begin + len(said)] = said
    return Text("".join(line), "dim", no_wrap=True, end="")


class _Plane:
    """Cells that are filled once: what comes first stays, but for letters."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._cells: dict[tuple[int, int], tuple[str, str]] = {}
        self._taken: set[tuple[int, int]] = set()

    def row(self, share: float) -> int:
        return round((1 - share) * (self.height - 1))

    def place(self, across: float, up: float) -> tuple[int, int]:
        """Give a point's cell; the outermost columns are left for the brackets."""
        return 1 + round(across * max(0, self.width - 3)), self.row(up)

    def join(self, places: Sequence[tuple[int, int]]) -> None:
        """Draw steps from each to the next: along, then down."""
        for (x0, y0), (x1, y1) in pairwise(places):
            for x in range(x0, x1 + 1):
                self._cells[x, y0] = ("·", "dim")
            for y in range(min(y0, y1), max(y0, y1) + 1):
                self._cells[x1, y] = ("·", "dim")

    def put(self, x: int, y: int, point: Point, *, bracketed: bool) -> None:
        style = f"{point.style} reverse" if point.chosen else point.style
        around = ((-1, "("), (1, ")")) if bracketed else ()
        for by, sign in around:
            if (x + by, y) not in self._taken:
                self._cells[x + by, y] = (sign, "bold")
                self._taken.add((x + by, y))
        self._cells[x, y] = (point.letter, f"bold {style}".strip())
        self._taken.add((x, y))

    def label(self, x: int, y: int, point: Point) -> None:
        """Write a name beside its point, where nothing else is written; nowhere if there is no room."""
        length = cell_len(point.name)
        beside = ((x + 3, y), (x - 2 - length, y), (x - length // 2, y - 1), (x - length // 2, y + 1))
        for begin, row in beside:
            cells = {(begin + by, row) for by in range(-1, length + 1)}
            inside = begin >= 0 and begin + length <= self.width and 0 <= row < self.height
            if inside and not cells & self._taken:
                for by, sign in enumerate(point.name):
                    self._cells[begin + by, row] = (sign, "bold" if point.chosen else "")
                self._taken |= cells
                return

    def rows(self) -> list[Text]:
        rows = []
        for y in range(self.height):
            text = Text(no_wrap=True, end="")
            for x in range(self.width):
                sign, style = self._cells.get((x, y), (" ", ""))
                text.append(sign, style)
            rows.append(text)
        return rows
