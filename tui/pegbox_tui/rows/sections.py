"""The list beside the details: findings first, then what else there is to know of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from pegbox_runs.figures import count
from pegbox_runs.printable import one_line, printable
from pegbox_runs.rows.report import RowFinding
from pegbox_tui.rows.browsing import BrowsedRows
from pegbox_tui.rows.report_parts import (
    MARKS,
    advice_part,
    balance_part,
    counted,
    facts,
    finding_detail,
    histogram,
    limits_part,
    padding_part,
    rejected_part,
    split_part,
    spread,
    verdict,
)

TITLE = 18
"""Characters of a title in the list."""
MOST_REJECTED = 100
COLORS = {"red": "bold red", "yellow": "yellow", "green": "green"}


@dataclass(frozen=True)
class Section:
    """One line of the list, and what stands beside it."""

    name: str
    label: Text
    detail: RenderableType
    finding: str | None = None
    """A finding's name, where it is one."""


def sections(rows: BrowsedRows) -> Iterator[Section]:
    """Give the findings, the worst first, then the parts of the report that are there."""
    report = rows.report
    for finding in report.findings:
        yield Section(f"finding-{finding.name}", _label(finding), finding_detail(finding), finding.name)
    if (lengths := report.lengths) is not None:
        yield _part("lengths", histogram(lengths, 20), Text(), spread(lengths), counted(lengths))
        chosen = Text.assemble(("training.length", "bold"), f" = {lengths.recommended}: {printable(lengths.why)}")
        yield _part("length limits", limits_part(lengths), Text(), chosen)
        if lengths.padding:
            caption = Text(f"Of all positions, with {lengths.micro_batch} rows in a micro-batch:")
            yield _part("padding", caption, Text(), padding_part(lengths))
    if report.balance is not None and report.rows:
        yield _part("balance", Text(one_line(report.balance.column, 60), "bold"), balance_part(report.balance))
    if report.split is not None:
        yield _part("split", split_part(report.split))
    if report.advice and report.rows:
        yield _part("advice", advice_part(report.advice))
    known = Text.assemble("format ", (printable(report.format), "bold"), f": {printable(report.evidence)}")
    yield _part("source", Text(printable(report.source), "bold"), Text(facts(report)), Text(), known, verdict(report))
    if rows.rejected:
        rest = len(rows.rejected) - MOST_REJECTED
        more = Text(f"and {rest:,} more: pegbox data --rejected lists them all", "dim") if rest > 0 else Text()
        yield _part("rejected rows", rejected_part(rows.rejected[:MOST_REJECTED]), more)


def _label(finding: RowFinding) -> Text:
    many = count(finding.rows).replace(" ", "") if finding.rows else ""
    title = one_line(finding.title, TITLE)
    return Text.assemble((f"{MARKS[finding.level]:<5}", COLORS[finding.level]), f"{title:<{TITLE}}", f" {many:>5}")


def _part(title: str, *parts: RenderableType) -> Section:
    return Section(title.replace(" ", "-"), Text(f"{'':<5}{title}"), Group(*parts))
