"""The parts of a report on rows, drawn for the command line and the screen alike; rich only, and never markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pegbox_methods.advice.data_card import AtLength
from pegbox_runs.figures import count, size
from pegbox_runs.printable import one_line, printable
from pegbox_runs.rows.place import Rejected
from pegbox_runs.rows.report import Advised, Balance, Lengths, Report, RowFinding, SplitFacts

MARKS = {"red": "bad", "yellow": "look", "green": "note"}
"""Each level's word, so that nothing hangs on color alone."""
FIT, UNFIT = ("fit to train on", "bold green"), ("not fit to train on", "bold red")
FIXES = {"leaves out": "leaves them out", "mends": "mends them"}
BAR = 30
"""Characters of the longest bar."""
EIGHTHS = " ▏▎▍▌▋▊▉█"
MOST_LIMITS = 9
"""Lines of the table of limits; more tell nothing more."""


def percent(part: float) -> str:
    """Write a share with as many digits as it needs; what is above 0 never looks like 0, nor the rest like all."""
    if part in (0, 1):
        return f"{part:.0%}".replace("%", " %")
    if part < 0.001:
        return "<0.1 %"
    if part > 0.999:
        return ">99.9 %"
    return f"{100 * part:.1f} %" if part < 0.0995 or part > 0.9905 else f"{100 * part:.0f} %"


def rows_in_words(rows: int) -> str:
    """Count rows, as in `1 row` and `12,000 rows`."""
    return f"{rows:,} {'row' if rows == 1 else 'rows'}"


def bar(part: float, width: int = BAR) -> str:
    """Draw a share to an eighth of a character; what is above 0 is seen."""
    eighths = max(round(part * width * 8), 1 if part > 0 else 0)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def verdict(report: Report) -> Text:
    """Say whether a run would take the rows."""
    bad = [finding for finding in report.findings if finding.level == "red"]
    look = sum(finding.level == "yellow" for finding in report.findings)
    said = Text()
    if bad:
        many = f"{len(bad)} findings are" if len(bad) > 1 else "a finding is"
        said.append(*UNFIT).append(f": {many} in the way")
    else:
        said.append(*FIT)
    if look:
        said.append(f"; {look} {'are' if look > 1 else 'is'} worth a look")
    return said


def headline(report: Report) -> Text:
    """Name the rows and say how they are, in one line."""
    said = Text(f"{one_line(report.source.rstrip('/').rpartition('/')[2], 40)} · {rows_in_words(report.rows)} · ")
    said.append(f"{printable(report.format)} · ")
    return said.append(*FIT) if report.fit else said.append(*UNFIT)


def facts(report: Report) -> str:
    """Tell what was read, in one line."""
    files = "" if report.files == 1 else f"{report.files:,} files, "
    rejected = f", {report.rejected:,} rejected" if report.rejected else ""
    return f"{files}{size(report.bytes)}; {rows_in_words(report.rows)}{rejected}; read in {report.seconds:.1f} s"


def finding_part(finding: RowFinding) -> RenderableType:
    """Draw a finding: how many, what it is, up to three rows of it, and what to do."""
    examples = [example_line(shown.place, shown.text) for shown in finding.examples]
    said = Group(_title(finding), Text(printable(finding.text)), *examples, _todo(finding), *_source(finding))
    return behind(Text(MARKS[finding.level], f"bold {finding.level}"), said)


def finding_detail(finding: RowFinding, command: str = "") -> RenderableType:
    """Draw a finding where there is little room: what to do stands before the rows.

    `command`: writes a cleaned copy, where the person doesn't stand behind `pegbox data`.
    """
    examples = [example_line(shown.place, shown.text) for shown in finding.examples]
    return Group(_title(finding), Text(printable(finding.text)), _todo(finding, command), *examples, *_source(finding))


def _title(finding: RowFinding) -> Text:
    many = f"{rows_in_words(finding.rows)} ({percent(finding.share)})  " if finding.rows else ""
    return Text.assemble(many, (printable(finding.title), "bold"))


def _todo(finding: RowFinding, command: str = "") -> Text:
    """Say what to do, and what --fix would do."""
    said = Text.assemble(("→ ", "bold"), printable(finding.todo))
    if finding.fix is not None and command:
        return said.append(f" `{printable(command)}` {FIXES[finding.fix]}.", "cyan")
    return said.append(f" (--fix {FIXES[finding.fix]})", "cyan") if finding.fix is not None else said


def _source(finding: RowFinding) -> Iterator[Text]:
    if finding.source:
        yield Text(f"[{printable(finding.source)}]", "dim")


def example_line(place: str, text: str) -> RenderableType:
    """Draw one row of a finding: its place, and the passage behind it."""
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(overflow="fold")
    told = Text.assemble((one_line(place, 400), "dim"), "  ", one_line(text, 200))
    table.add_row(Text("·", "dim"), told)
    return table


def histogram(lengths: Lengths, width: int = BAR) -> Table:
    """Draw how many rows there are of each length, from the shortest row's to the longest one's."""
    there = [place for place, one in enumerate(lengths.histogram) if one.rows]
    bins = lengths.histogram[there[0] : there[-1] + 1] if there else ()
    most = max((one.rows for one in bins), default=1)
    digits = max((len(f"{one.stop - 1:,}") for one in bins), default=1)
    table = Table.grid(padding=(0, 1, 0, 0))
    for justify in ("right", "left", "left"):
        table.add_column(no_wrap=True, justify=justify)
    for one in bins:
        drawn = Text.assemble((bar(one.rows / most, width), "cyan"), f" {one.rows:,}" if one.rows else "")
        table.add_row(Text(f"{one.begin:,}"), Text(f"– {one.stop - 1:>{digits},}"), drawn)
    return table


def limits_part(lengths: Lengths) -> Table:
    """Draw what each usual limit costs; the recommended one is marked in words."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    table.add_row(*(Text(word, "dim") for word in ("length", "rows cut", "trained lost", "")))
    for limit in telling(lengths.limits, lengths.recommended):
        chosen = limit.length == lengths.recommended
        cells = (f"{limit.length:,}", percent(limit.rows_truncated), percent(max(0.0, 1 - limit.trained_kept)))
        table.add_row(*(Text(cell, "bold" if chosen else "") for cell in cells), "← advised" if chosen else "")
    return table


def telling(limits: Sequence[AtLength], recommended: int) -> Sequence[AtLength]:
    """Choose the limits worth a line: powers of two, the recommended one, and the first that cuts nothing."""
    if len(limits) <= MOST_LIMITS:
        return limits
    chosen = [one for one in limits if one.length.bit_count() == 1 or one is limits[-1] or one.length == recommended]
    here = next((i for i, one in enumerate(chosen) if one.length == recommended), 0)
    first = max(0, min(here - MOST_LIMITS // 2, len(chosen) - MOST_LIMITS))
    return chosen[first : first + MOST_LIMITS]


def spread(lengths: Lengths) -> Text:
    """Say how long the rows are, and how much of them is learned."""
    at, trained = lengths.percentiles, lengths.tokens_trained / max(lengths.tokens, 1)
    said = (
        f"Half of the rows have up to {at['p50']:,} tokens, 90 % up to {at['p90']:,}, 99 % up to {at['p99']:,}; the "
        f"longest has {at['max']:,}. Of all tokens {percent(trained)} are trained."
    )
    return Text(said)


def counted(lengths: Lengths) -> Text:
    """Say what counted the tokens, and on how many rows."""
    said = Text(printable(f"Counted with {lengths.counted_with}."), "dim")
    if lengths.estimate is not None:
        said.append(printable(f" An estimate: {lengths.estimate}."), "yellow")
    return said


def padding_part(lengths: Lengths) -> Table:
    """Draw what each order of the rows wastes."""
    table = _grid("left", "right", "left")
    for one in lengths.padding:
        table.add_row(one.order, percent(one.share), Text(bar(one.share), "yellow"))
    return table


def balance_part(balance: Balance) -> RenderableType:
    """Draw how the rows spread over a column's values. A value is text from outside: it stands last."""
    most = max((one.share for one in balance.values), default=1.0) or 1.0
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for justify, width in (("right", 9), ("right", 6), ("left", 12)):
        table.add_column(no_wrap=True, justify=justify, width=width)  # type: ignore[arg-type]
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for one in balance.values:
        table.add_row(
            f"{one.rows:,}", percent(one.share), Text(bar(one.share / most, 12), "cyan"), Text(one_line(one.value, 60))
        )
    said = [f"{balance.distinct:,} {'values' if balance.distinct != 1 else 'value'}"]
    if balance.others:
        said.append(f"{rows_in_words(balance.others)} with other values")
    if balance.missing:
        said.append(f"{rows_in_words(balance.missing)} without it")
    return Group(table, Text("; ".join(said), "dim"))


def split_part(split: SplitFacts) -> Text:
    """Say how the rows would be parted."""
    return Text(printable(f"{count(split.trained)} trained, {count(split.held_out)} held out: {split.by}"))


def advice_part(advice: Iterable[Advised]) -> Table:
    """Draw what follows from the number of rows, each with its source."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for one in advice:
        source = (f" [{printable(one.source)}]", "dim") if one.source else ""
        table.add_row(Text(short(one.about), "bold"), Text.assemble(printable(one.text), source))
    return table


def rejected_part(rejected: Sequence[Rejected]) -> RenderableType:
    """List rows that can't be taken: place, reason, keys."""
    lines: list[RenderableType] = []
    for one in rejected:
        told = Text.assemble((one_line(one.where, 400), "bold"), ": ", printable(one.reason))
        if one.keys:
            told.append(f"; its keys are {one_line(', '.join(one.keys), 200)}", "dim")
        lines.append(told)
    return Group(*lines)


def short(key: str) -> str:
    """Name a key of the recipe without its table."""
    return "held out" if key == "split.share" else printable(key.rpartition(".")[2].replace("_", " "))


def behind(mark: RenderableType, said: RenderableType, width: int = 4) -> Table:
    """Put something behind a narrow column, so that its lines are folded there."""
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(width=width, no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    table.add_row(mark, said)
    return table


def _grid(*justified: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in justified:
        table.add_column(no_wrap=True, justify=justify)  # type: ignore[arg-type]
    return table
