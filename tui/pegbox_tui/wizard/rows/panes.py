"""The parts of the report: a list, and what stands beside it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import ContentSwitcher, OptionList, Static
from textual.widgets.option_list import Option

from pegbox_methods.hub_name import is_hub_id
from pegbox_methods.recipe import Rows
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line, printable
from pegbox_runs.rows.mask_view import ASCII_MARKS
from pegbox_runs.rows.report import Lengths, RowFinding
from pegbox_tui.rows.browsing import BrowsedRow
from pegbox_tui.rows.examined_rows import ExaminedRows
from pegbox_tui.rows.mask_text import legend, mask_text, tokens_in_words
from pegbox_tui.rows.report_parts import advice_part, finding_detail, histogram
from pegbox_tui.shell.choice_list import ChoiceList
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.rows.explanations import FIRST, LENGTHS, PARTS, SUMMARY
from pegbox_tui.wizard.rows.length_table import HEAD, Prices, drawn, length_lines, told_below
from pegbox_tui.wizard.rows.reading import Reading
from pegbox_tui.wizard.rows.words import cleaning, name_of, part_label, passing, summary

FIRST_TOKENS = 600
"""Of the row that the step itself shows; v shows all of it."""
PANES = {"lengths": "lengths", "split": "split", "reading": "reading"}
"""Parts with a pane of their own; the others share the one that only tells."""


@dataclass
class LengthTaken(Message):
    """A length was chosen; None: the advice shall choose."""

    length: int | None


class Detail(VerticalScroll):
    """Tells of the chosen part."""

    def __init__(self) -> None:
        super().__init__(id="detail")

    def compose(self) -> ComposeResult:
        """Lay out one text."""
        yield Static(id="detail-text", markup=False)

    def explanation(self) -> Explanation:
        """Explain what findings are."""
        return SUMMARY


class Parts(ChoiceList):
    """The summary, the findings with the worst first, and what can be set."""

    def __init__(self) -> None:
        super().__init__(id="parts", markup=False)
        self._details: dict[str, RenderableType] = {}
        self._findings: dict[str, RowFinding] = {}

    @property
    def finding(self) -> RowFinding | None:
        """Give the finding that is chosen, if it is one."""
        return self._findings.get(self._chosen)

    @property
    def _chosen(self) -> str:
        option = self.highlighted_option
        return "" if option is None else option.id or ""

    def explanation(self) -> Explanation:
        """Explain the chosen part."""
        finding = self.finding
        if finding is not None:
            return Explanation(finding.title, f"{finding.text}\n\n{finding.todo}", finding.source)
        return {"lengths": LENGTHS, "summary": SUMMARY}.get(self._chosen, PARTS)

    def fill(self, state: Reading, rows: Rows, model: str | None, former: Rows | None = None) -> None:
        """List what there is to a reading; the same part stays chosen. Escape goes back to the former rows."""
        chosen = self._chosen
        report = None if state.rows is None else state.rows.report
        self._findings = {} if report is None else {f"finding-{one.name}": one for one in report.findings}
        self._details = {"summary": _summary(state, rows, model, former)}
        options = [Option(Text(f"{'':<5}summary"), id="summary")]
        for name, finding in self._findings.items():
            self._details[name] = Group(passing(finding, rows.allow), finding_detail(finding, cleaning(rows)))
            options.append(Option(part_label(finding, rows.allow), id=name))
        if report is not None:
            self._details["advice"] = advice_part(report.advice)
        words = ("split", "reading") if report is None else ("lengths", "split", "advice", "reading")
        options += [Option(Text(f"{'':<5}{word}"), id=word) for word in words]
        self.clear_options()
        self.add_options(options)
        there = [option.id for option in options]
        self.choose(there.index(chosen) if chosen in there else None)
        self._show()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show a part beside the list."""
        event.stop()
        self._show()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go to what stands beside the list."""
        event.stop()
        self.screen.focus_next()

    def _show(self) -> None:
        pane = PANES.get(self._chosen, "detail")
        self.screen.query_one("#sides-of", ContentSwitcher).current = pane
        if pane == "detail":
            self.screen.query_one("#detail-text", Static).update(self._details.get(self._chosen, ""))
            self.screen.query_one(Detail).scroll_home(animate=False)


def _summary(state: Reading, rows: Rows, model: str | None, former: Rows | None) -> RenderableType:
    if state.rows is not None:
        return summary(state.rows.report, rows, model, state.changed)
    if state.refusal:
        ways = "r tries again; f picks other rows."
        if state.keys:
            ways += " Or say by hand which key is what: go down to reading."
        if former is not None:
            ways += f" Escape goes back to {name_of(former.file)}."
        return Group(Text(printable(state.refusal), "bold"), Text(), Text(ways))
    if state.unfetched:
        return Text("These rows lie on the Hub. r fetches them; f picks others. Nothing was fetched yet.")
    where = "fetched, if they aren't here yet, and read" if is_hub_id(rows.file) else "read, here on this machine"
    return Text(f"The rows are being {where}. f picks others.", "dim")


class LengthList(ChoiceList):
    """The limits, one of which can be taken."""

    def explanation(self) -> Explanation:
        """Explain length, trained tokens, and what is lost."""
        return LENGTHS


class LengthPane(VerticalScroll, can_focus=False):
    """A table of limits, the histogram where there is room, and what they mean."""

    def __init__(self, taken: int | None) -> None:
        super().__init__(id="lengths")
        self._taken = taken
        self._lengths: Lengths | None = None
        self._prices = Prices()

    def compose(self) -> ComposeResult:
        """Lay out."""
        yield Static(HEAD, id="lengths-head", markup=False)
        yield LengthList(id="limits", markup=False)
        yield Static(id="lengths-told", markup=False)
        yield Static(id="histogram", markup=False)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Give the limits that are listed."""
        return () if self._lengths is None else tuple(one.length for one in length_lines(self._lengths, self._taken))

    def fill(self, lengths: Lengths | None) -> None:
        """Show other rows' lengths."""
        if lengths is not self._lengths:
            self._lengths, self._prices = lengths, Prices()
        if lengths is not None:
            self.query_one("#histogram", Static).update(histogram(lengths))
        self._draw()

    def price(self, prices: Prices) -> None:
        """Show the memory of each length, as far as it is known."""
        self._prices = prices
        self._draw()

    def take(self, length: int | None) -> None:
        """Show which length is taken."""
        self._taken = length
        self._draw()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Say what the limit does."""
        event.stop()
        self._tell()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take a limit, or take that back."""
        event.stop()
        length = self.lengths[event.option_index]
        self.post_message(LengthTaken(None if length == self._taken else length))

    def _draw(self) -> None:
        limits = self.query_one(LengthList)
        highlighted = limits.highlighted
        limits.clear_options()
        if self._lengths is None:
            self.query_one("#lengths-told", Static).update("No model is chosen yet, so there are no tokens to count.")
            return
        lines = length_lines(self._lengths, self._taken)
        most = max((line.rows_here for line in lines), default=1.0)
        limits.add_options([Option(drawn(line, self._prices, self._taken, most)) for line in lines])
        begin = next((n for n, line in enumerate(lines) if line.length == self._lengths.recommended), 0)
        limits.choose(begin if highlighted is None else highlighted)
        self._tell()

    def _tell(self) -> None:
        if self._lengths is not None:
            lines, place = length_lines(self._lengths, self._taken), self.query_one(LengthList).highlighted
            line = lines[place] if place is not None and place < len(lines) else None
            said = told_below(self._lengths, self._prices, self._taken, line)
            self.query_one("#lengths-told", Static).update(said)


class FirstRow(Vertical):
    """The first row as the model sees it, where the terminal has room for it."""

    def __init__(self) -> None:
        super().__init__(id="first")

    def compose(self) -> ComposeResult:
        """Lay out a headline, the row and the legend."""
        yield Static(id="first-head", markup=False)
        with FirstText(id="first-scroll"):
            yield Static(id="first-text", markup=False)
        marked = Text("trained".join(ASCII_MARKS))
        yield Static(Text("  ").join((marked, legend())), id="first-legend", markup=False)

    def clear(self) -> None:
        """Show no row: the one that stood here is of other rows."""
        self.query_one("#first-head", Static).update("")
        self.query_one("#first-text", Static).update("")

    def show(self, row: BrowsedRow) -> None:
        """Show a row, what is trained in brackets too."""
        head = f"{one_line(row.place, 60)}" if row.place else ""
        text = Text(printable(row.fault), "yellow")
        if row.shown is not None:
            head += f" · {tokens_in_words(row.shown)} · v shows all rows"
            text = mask_text(row.shown, most=FIRST_TOKENS, marks=ASCII_MARKS)
        self.query_one("#first-head", Static).update(head)
        self.query_one("#first-text", Static).update(text)


class FirstText(VerticalScroll):
    """Scrolls a long row."""

    def explanation(self) -> Explanation:
        """Explain the colors."""
        return FIRST


def first_row(rows: ExaminedRows) -> BrowsedRow:
    """Read the first row, or say why it can't be shown."""
    if not rows.report.rows:
        return BrowsedRow(1, "", None, "No row can be taken.")
    try:
        return rows.row(1)
    except Refusal as refusal:
        return BrowsedRow(1, "", None, refusal.sentence)
