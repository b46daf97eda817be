"""A model in one line: its columns, and the badge that says whether it fits."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.text import Text

from pegbox_runs.catalogue import LICENCES
from pegbox_runs.figures import count, size
from pegbox_runs.fitting import Fit
from pegbox_runs.printable import one_line
from pegbox_tui.wizard.model.entries import Entry

METHODS = {"lora": "LoRA", "qlora": "QLoRA"}
ROOMY = 100
"""Cells from which the badge is written out and names keep who published them."""


NARROW = 76
Row = Text
"""A line of the list."""


@dataclass(frozen=True)
class Columns:
    """Widths in cells; what is left goes to the name."""

    name: int
    fit: int
    parameters: int = 6
    licence: int = 8
    gated: int = 5
    size: int = 9

    @property
    def roomy(self) -> bool:
        """Whether there is room for whole words."""
        return self.fit > 20


def columns(width: int) -> Columns:
    """Divide a line of so many cells; licence and gate give way where it is narrower than 80."""
    parts = Columns(name=0, fit=28 if width >= ROOMY else 20)
    if width < NARROW:
        parts = replace(parts, licence=0, gated=0)
    taken = (parts.parameters, parts.licence, parts.gated, parts.size, parts.fit)
    rest = width - sum(taken) - sum(1 for cells in taken if cells)
    return replace(parts, name=max(12, min(rest, 52)))


def heading(parts: Columns) -> str:
    """Name the columns."""
    return _line(parts, "  model", "params", "licence", "gated", "size", "fits this device?")


def row_text(entry: Entry, fit: Fit | None, parts: Columns, *, taken: bool) -> Text:
    """Write a model's line. The mark before it: `●` for the one that is taken."""
    name = entry.name if parts.roomy or entry.section == "taken" else entry.name.rpartition("/")[2]
    mark = "● " if taken else "  "
    licence = LICENCES.get(entry.licence or "")
    short = licence.short if licence else entry.licence or "?"
    gated = {True: "gated", False: "", None: "?"}[entry.gated]
    parameters = "?" if entry.parameters is None else count(entry.parameters)
    said = _line(parts, mark + one_line(name, parts.name - 2), parameters, short, gated, size_text(entry), "")
    text = Text(said.rstrip().ljust(len(said)), "bold" if taken else "")
    return text.append(one_line(badge(fit, short=not parts.roomy), parts.fit), badge_style(fit))


def _line(parts: Columns, name: str, parameters: str, licence: str, gated: str, size: str, fit: str) -> str:
    cells = [name.ljust(parts.name), parameters.rjust(parts.parameters)]
    if parts.licence:
        cells += [one_line(licence, parts.licence).ljust(parts.licence), gated.ljust(parts.gated)]
    return " ".join((*cells, size.rjust(parts.size), fit))


def size_text(entry: Entry) -> str:
    """Say what is to be downloaded (`↓`), or what lies here (`…`: only a part of it)."""
    if entry.disk_bytes is not None:
        return size(entry.disk_bytes, brief=True) if entry.complete else f"… {size(entry.disk_bytes, brief=True)}"
    if entry.complete:
        return "here"
    return "?" if entry.download_bytes is None else f"↓ {size(entry.download_bytes, brief=True)}"


def badge(fit: Fit | None, *, short: bool = False) -> str:
    """Say in a few words whether a model fits, by which method, and with how much to spare."""
    if fit is None:
        return "…"
    if fit.method is None:
        return "? see below" if short else f"? {fit.why}"
    amount = size(fit.margin_bytes, brief=short)
    if not fit.fits:
        lacking = f"lacks {size(-fit.margin_bytes, brief=short)}"
        return lacking if short else f"doesn't fit: {lacking}"
    only = "" if short or fit.method == "lora" else " only"
    return f"{METHODS[fit.method]}{only}, {amount} {'spare' if short else 'to spare'}"


def badge_style(fit: Fit | None) -> str:
    """Give the badge's color, which only repeats what its words say."""
    if fit is None or fit.method is None:
        return "dim"
    return "red" if not fit.fits else "green" if fit.method == "lora" else "yellow"
