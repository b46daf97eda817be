"""How long the rows are, and what each limit on the length costs: trained tokens, and memory of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
from rich.text import Text

from pegbox_methods.advice.data_card import AtLength
from pegbox_runs.printable import one_line, printable
from pegbox_runs.rows.report import Lengths
from pegbox_tui.rows.report_parts import bar, percent, telling

GIB = 2**30
HEAD = f"  {'up to':>7} {'rows so long':<15} {'lost':>6} {'memory':>9}"
BAR = 7


@dataclass(frozen=True)
class Price:
    """What a run of one length needs."""

    needed_bytes: int | None
    """None: it can't be known."""
    margin_bytes: int = 0
    """What would be left; below 0: what is lacking."""
    fits: bool = True


@dataclass(frozen=True)
class Prices:
    """What is known so far of the runs of several lengths."""

    of: Mapping[int, Price] = field(default_factory=dict)
    advised: int | None = None
    """The length that the advice would take; None: not known."""
    unknown: str = ""
    """Why memory can't be told: a sentence."""
    place: str = ""


@dataclass(frozen=True)
class LengthLine:
    """One limit."""

    length: int
    rows_here: float
    """Share of the rows that are longer than the limit before, and not longer than this."""
    cut: float
    lost: float


def length_lines(lengths: Lengths, taken: int | None = None) -> list[LengthLine]:
    """Choose the limits worth a line, and say what each does; the one that was taken is always among them."""
    chosen: Sequence[AtLength] = telling(lengths.limits, lengths.recommended)
    if taken is not None and all(one.length != taken for one in chosen):
        known = [one for one in lengths.limits if one.length <= taken] or lengths.limits[:1]
        chosen = sorted((*chosen, msgspec.structs.replace(known[-1], length=taken)), key=lambda one: one.length)
    longer = [1.0, *(one.rows_truncated for one in chosen)]
    return [
        LengthLine(one.length, max(0.0, before - after), one.rows_truncated, max(0.0, 1 - one.trained_kept))
        for one, (before, after) in zip(chosen, pairwise(longer), strict=True)
    ]


def drawn(line: LengthLine, prices: Prices, taken: int | None, most: float) -> Text:
    """Draw a limit: the rows that it is just enough for, what it loses, its memory; a dot where it is chosen."""
    mark = "●" if line.length == (taken or prices.advised) else " "
    share = f"{bar(line.rows_here / most if most else 0.0, BAR):<{BAR}} {percent(line.rows_here):>7}"
    said = Text(f"{mark} {line.length:>7,} ")
    return said.append(share, "cyan").append(f" {percent(line.lost):>6} ").append(*_memory(prices, line.length))


def told_below(lengths: Lengths, prices: Prices, taken: int | None, line: LengthLine | None) -> Text:
    """Say what the line under the cursor means, what is taken, and why something isn't known."""
    said = Text()
    if line is not None:
        said.append(f"At {line.length:,}: {percent(line.cut)} of the rows lose their end")
        said.append(f"{_lacking(prices, line.length)}.\n")
    if taken is not None:
        said.append(f"● {taken:,} is yours; Enter on it takes that back.\n", "bold")
    elif prices.advised is not None:
        said.append(f"● {prices.advised:,} is advised. Enter takes another.\n")
    else:
        said.append(f"For these rows {lengths.recommended:,}: {lengths.why}. Enter takes one.\n")
    if prices.unknown:
        said.append(f"Memory isn't known: {printable(prices.unknown)}\n", "yellow")
    elif prices.place:
        said.append(f"Memory: what should be free on {one_line(prices.place, 40)}.\n", "dim")
    if lengths.estimate is not None:
        said.append(f"An estimate: {one_line(lengths.estimate, 200)}.", "yellow")
    return said


def _lacking(prices: Prices, length: int) -> str:
    price = prices.of.get(length)
    if price is None or price.needed_bytes is None:
        return ""
    left = price.margin_bytes / GIB
    return f"; {left:.1f} GiB would be left" if price.fits else f"; {-left:.1f} GiB are lacking"


def _memory(prices: Prices, length: int) -> tuple[str, str]:
    price = prices.of.get(length)
    if price is None or price.needed_bytes is None:
        return f"{'-' if prices.unknown or price else '…':>9}", "dim"
    figure = f"{price.needed_bytes / GIB:.1f} GiB"
    return f"{figure:>9} {'✓' if price.fits else '✗'}", "" if price.fits else "red"
