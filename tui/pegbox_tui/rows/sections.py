"""The list beside the details: findings first, then what else there is to know of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text
from textual.containers import VerticalScroll

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
from pegbox_tui.shell.choice_list import ChoiceList
from pegbox_tui.shell.explaining import Explanation

TITLE = 18
"""Characters of a title in the list."""
MOST_REJECTED = 100
COLORS = {"red": "bold red", "yellow": "yellow", "green": "green"}
ABOUT = Explanation(
    "Rows",
    "Above: what was found in the rows, the worst first, and how long they are. 'bad' means that a run would refuse "
    "them or be spoilt, 'look' is worth a look, 'note' is for information. Below: one row after the other, as the "
    "model sees it.",
)
TOKENS = Explanation(
    "A row as the model sees it",
    "The model reads tokens, pieces of words; two shades by turns show where one ends. Green ones are trained: the "
    "model learns to say them. Grey ones are context, which it only reads: the question, and the marks around turns. "
    "What is struck out lies behind the limit on the length and is cut away. m puts brackets around what is trained.",
)
PARTS_OF_IT = {
    "lengths": "How many rows there are of each length, in tokens of this model.",
    "length-limits": "What each limit on the length would cut: rows that lose their end, and the share of all trained "
    "tokens that is lost. t leaves with the advised one.",
    "padding": "Rows of a batch are filled up to the longest of them, and filling costs time. Here is how much of it "
    "there would be in each order of the rows.",
    "balance": "How many rows have each value of a column.",
    "split": "Which rows are trained, and which are kept apart to judge the result by.",
    "advice": "What follows from the number of rows; each piece names whose rule it is.",
    "source": "What was read, and how it was understood.",
    "rejected-rows": "Rows that can't be taken, each with its reason.",
}


@dataclass(frozen=True)
class Section:
    """One line of the list, and what stands beside it."""

    name: str
    label: Text
    detail: RenderableType
    finding: str | None = None
    """A finding's name, where it is one."""
    told: RowFinding | None = None


def sections(rows: BrowsedRows) -> Iterator[Section]:
    """Give the findings, the worst first, then the parts of the report that are there."""
    report = rows.report
    for finding in report.findings:
        yield Section(f"finding-{finding.name}", _label(finding), finding_detail(finding), finding.name, finding)
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


class Sections(ChoiceList):
    """The list of parts."""

    def __init__(self) -> None:
        super().__init__(id="sections", markup=False)
        self.section: Section | None = None

    def explanation(self) -> Explanation | None:
        """Explain the chosen part."""
        if self.section is None:
            return None
        if self.section.told is not None:
            told = self.section.told
            return Explanation(told.title, f"{told.text}\n\n{told.todo}", told.source)
        return Explanation(self.section.label.plain.strip(), PARTS_OF_IT.get(self.section.name, ABOUT.text))


class Detail(VerticalScroll):
    """What stands beside the list; explained as the list is."""

    def explanation(self) -> Explanation | None:
        """Explain the chosen part."""
        return self.screen.query_one(Sections).explanation()


class ShownText(VerticalScroll):
    """The row."""

    def explanation(self) -> Explanation:
        """Explain tokens and colors."""
        return TOKENS
