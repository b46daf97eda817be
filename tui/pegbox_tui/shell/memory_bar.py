"""A bar of memory: what takes how much, how sure that is, and what is free. It says all of it in words too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from rich.cells import cell_len
from rich.text import Text

from pegbox_hardware.forecast.memory import Forecast
from pegbox_runs.figures import size
from pegbox_runs.printable import one_line

KNOWN = {
    "linear maps": "L",
    "embeddings, head, norms": "E",
    "experts": "X",
    "adapter": "A",
    "optimizer states": "O",
    "cuBLAS workspace": "B",
    "gradients": "G",
    "checkpoints": "K",
    "activations": "V",
    "one layer at work": "W",
    "logits and loss": "S",
    "optimizer at work": "P",
    "evaluation batch": "Y",
    "answer and its cache": "Y",
    "allocator, driver": "R",
}
"""The forecast's items keep their letters when a setting changes what holds the memory at the peak."""
STYLES = {
    "L": "white on blue",
    "E": "black on cyan",
    "X": "black on bright_blue",
    "A": "black on yellow",
    "O": "white on magenta",
    "B": "black on white",
    "G": "black on green",
    "K": "black on bright_cyan",
    "V": "black on bright_cyan",
    "W": "black on bright_green",
    "S": "black on bright_magenta",
    "P": "black on bright_green",
    "Y": "black on bright_green",
    "R": "white on bright_black",
}
"""The 16 colors that every terminal has; the letters tell the same where there are none."""
SPARE = "CDFHIJNQTUZ"
"""For items that nobody here knows; M marks what was measured."""
UNKNOWN_STYLE = "black on bright_yellow"
MARK = "bold reverse"
LEAST_SHARE = 0.01
"""Of the likely figure; smaller items are named together."""


@dataclass(frozen=True)
class MemoryBar:
    """Bytes. `low <= likely <= high`; `items` add up to about `likely`, in the order in which they are drawn."""

    items: Mapping[str, int]
    low: int
    likely: int
    high: int
    free: int | None
    """What a run may count on; None: not known."""
    total: int | None
    measured: int | None = None
    """What a run really takes at its peak, where one runs."""

    def text(self, width: int) -> Text:
        """Draw it in a line of so many cells, each item in a letter and a color of its own.

        Capital letters are what it takes at the least, small ones what it likely takes, `~` what it may, dots what is
        free then, `|` the end of what may be used, `/` what is not to be had, `M` what was measured.
        """
        scale = max(self.high, self.likely, self.total or 0, self.free or 0, self.measured or 0, 1)
        marks, ends = self._marks(width, scale), self._ends()
        text = Text(no_wrap=True, end="")
        for cell in range(width):
            at = (cell + 0.5) * scale / width
            text.append(*(marks.get(cell) or self._cell(at, ends)))
        return text

    def legend(self, width: int) -> Text:
        """Say in words what is drawn: each item's letter, name and size, the range, what is free, what is left."""
        text = Text(end="")
        append_filled(text, list(self.named()), width)
        append_filled(text, [Text(part) for part in self.verdict()], width)
        return text

    def verdict(self, *, left: bool = True) -> Iterator[str]:
        """Say the figures without the items, clause by clause, the last one what is left."""
        if self.measured is not None:
            yield f"measured {size(self.measured)} (M)"
        span = "" if self.low == self.high else f", {size(self.low)} to {size(self.high)} (~)"
        yield f"likely {size(self.likely)}{span}"
        if self.free is None:
            yield "what is free isn't known"
            return
        of = "" if self.total is None else f" of {size(self.total)}"
        yield f"usable {size(self.free)}{of} (|)"
        if left:
            yield self.left()

    def left(self) -> str:
        """Say what is left, or what is lacking."""
        if self.free is None:
            return ""
        if self.high <= self.free:
            return f"fits: {size(self.free - self.high)} left"
        if self.likely <= self.free:
            return f"may not fit: {size(self.high - self.free)} short at most"
        return f"doesn't fit: {size(self.likely - self.free)} short, {size(self.high - self.free)} to be safe"

    def _marks(self, width: int, scale: int) -> dict[int, tuple[str, str]]:
        """Give the cells that hold a mark; the measured one covers the other."""
        found = {}
        for at, sign in ((self.free, "|"), (self.measured, "M")):
            if at is not None:
                found[min(width - 1, max(0, int(at * width / scale)))] = (sign, MARK)
        return found

    def _ends(self) -> list[tuple[int, str]]:
        """Give each item's last byte and its letter."""
        letters = self._letters()
        return list(zip(accumulate(self.items[name] for name in letters), letters.values(), strict=True))

    def _cell(self, at: float, ends: list[tuple[int, str]]) -> tuple[str, str]:
        """Give the sign and style of what lies at a byte."""
        for end, letter in ends:
            if at < end:
                return (letter if at < self.low or self.low >= self.likely else letter.lower()), _style(letter)
        if at < self.high:
            return "~", "dim"
        if self.free is not None and at >= self.free:
            return "/", "dim"
        return ("·", "dim") if self.free is not None or self.total is not None else (" ", "")

    def _letters(self) -> dict[str, str]:
        """Give each item that takes anything its letter."""
        found: dict[str, str] = {}
        for name in (name for name, taken in self.items.items() if taken > 0):
            free = [KNOWN.get(name, ""), *name.upper(), *SPARE]
            reserved = set(KNOWN.values()) if name not in KNOWN else set()
            usable = (one for one in free if one.isascii() and one.isalpha() and one != "M" and one not in reserved)
            found[name] = next((one for one in usable if one not in found.values()), "?")
        return found

    def named(self) -> Iterator[Text]:
        """Say each item: its letter, its name, its size; those too small to be drawn together."""
        letters = self._letters()
        told = [name for name in letters if self.items[name] >= LEAST_SHARE * self.likely]
        for name in told:
            yield Text.assemble(
                (letters[name], _style(letters[name])), f" {one_line(name, 40)} {size(self.items[name])}"
            )
        small = [name for name in letters if name not in told]
        if small:
            names = ", ".join(f"{letters[name]} {one_line(name, 40)}" for name in small)
            yield Text(f"{size(sum(self.items[name] for name in small))} in all: {names}")


def bar_of(memory: Forecast, *, free: int | None, total: int | None, measured: int | None = None) -> MemoryBar:
    """Make the bar of a forecast; what the allocator and the driver hold beside the tensors is an item of its own."""
    items = memory.items or {"the process": memory.allocated_bytes}
    beside = max(0, memory.card_bytes - memory.allocated_bytes)
    return MemoryBar(
        items={**items, "allocator, driver": beside},
        low=min(memory.low_bytes, memory.card_bytes),
        likely=memory.card_bytes,
        high=max(memory.safe_bytes, memory.card_bytes),
        free=free,
        total=total,
        measured=measured,
    )


def _style(letter: str) -> str:
    return STYLES.get(letter, UNKNOWN_STYLE)


def append_filled(text: Text, parts: list[Text], width: int) -> None:
    """Put parts into lines of at most so many cells, none of them torn that fits into a line."""
    used = width
    for part in parts:
        needed = cell_len(part.plain)
        if used and used + 3 + needed <= width:
            text.append(" · ")
            used += 3 + needed
        else:
            text.append("\n" if text else "")
            used = needed
        text.append_text(part)
