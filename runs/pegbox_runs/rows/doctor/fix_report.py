"""What a cleaned copy's report says: each row that was left out or changed, for machines and for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from pegbox_runs.printable import one_line

LISTED = 1000
"""Rows that the report for people lists; the other one lists all."""


class Treated(msgspec.Struct, frozen=True):
    """One row that isn't in the copy as it was."""

    file: str
    number: int | None
    """As in Place."""
    unit: str
    done: Literal["left out", "mended"]
    finding: str
    """The finding's name, the first one if there are several."""
    reason: str
    """Printable, and without secrets."""


class Fixed(msgspec.Struct, frozen=True, kw_only=True):
    """A cleaned copy, and how it came about."""

    source: str
    target: str
    held_out: str | None
    """The rows for evaluation that it was compared with."""
    rows_before: int
    """Good rows of the source."""
    rows_rejected: int
    rows_after: int
    left_out: dict[str, int]
    """Rows by finding."""
    mended: dict[str, int]
    kept: tuple[str, ...]
    """Findings that were to stay as they are."""
    rounds: int
    """How often the rows were written and looked at; the last look found nothing to treat."""
    treated: tuple[Treated, ...]
    """In the source's order; of rejected rows the first hundred thousand."""


def counted(treated: list[Treated], done: str) -> dict[str, int]:
    """Count rows by finding, the most frequent first."""
    return dict(Counter(row.finding for row in treated if row.done == done).most_common())


def report_paths(target: Path) -> tuple[Path, Path]:
    """Name the two reports beside a cleaned copy: JSON, and for people."""
    return target.with_name(f"{target.name}.report.json"), target.with_name(f"{target.name}.report.md")


def markdown(fixed: Fixed) -> str:
    """Write the report for people."""
    return "\n".join(_lines(fixed)) + "\n"


def _lines(fixed: Fixed) -> Iterator[str]:
    yield f"# {_cell(fixed.target)}\n"
    yield (
        f"A cleaned copy of {_cell(fixed.source)}, which is untouched: {fixed.rows_after:,} of {fixed.rows_before:,} "
        f"rows{f', {fixed.rows_rejected:,} more could not be read' if fixed.rows_rejected else ''}."
    )
    if fixed.held_out:
        yield f"Compared with the rows for evaluation in {_cell(fixed.held_out)}."
    if fixed.kept:
        yield f"Kept as they are: {', '.join(fixed.kept)}."
    yield "\n| what | done | rows |\n|---|---|---|"
    for done, counts in (("left out", fixed.left_out), ("mended", fixed.mended)):
        yield from (f"| {name} | {done} | {rows:,} |" for name, rows in counts.items())
    yield "\n| row | done | why |\n|---|---|---|"
    for row in fixed.treated[:LISTED]:
        place = row.file if row.number is None else f"{row.file}, {row.unit} {row.number}"
        yield f"| {_cell(place)} | {row.done} | {row.finding}: {_cell(row.reason)} |"
    if len(fixed.treated) > LISTED:
        yield f"\nand {len(fixed.treated) - LISTED:,} more, in the report beside this one."


def _cell(text: str) -> str:
    """Write text from outside so that Markdown shows it and doesn't act on it."""
    line = one_line(text, 300)
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#|!&~$" else letter for letter in line)
