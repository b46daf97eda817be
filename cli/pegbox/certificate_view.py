"""A method's certificate on a terminal: every check, how it ended, and what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pegbox_methods.certificate import CHECKS, Certificate, Check, Outcome
from pegbox_runs.printable import printable

STYLES: dict[Outcome, str] = {"passed": "green", "cannot": "yellow", "failed": "bold red", "not-applicable": "dim"}
WIDE = 120
"""Columns from which there is room to say what each check means."""


def show_certificate(one: Certificate) -> None:
    """Print one certificate as a table, and a line that sums it up."""
    console = _console()
    versions = ", ".join(f"{name} {version}" for name, version in one.libraries.items())
    console.print(Text.assemble((one.method, "bold"), printable(f", by {one.origin}, on the model {one.model}")))
    console.print(Text(printable(versions), "dim"))
    console.print(_table(one, wide=console.width >= WIDE))
    console.print(_sum(one))
    console.print()


def show_sum(found: Sequence[Certificate]) -> None:
    """Close the certificates of several methods with a line for each that failed."""
    console = _console()
    for one in found:
        if not one.certified:
            console.print(_sum(one))
    console.print(Text(f"{sum(one.certified for one in found)} of {len(found)} methods are certified."))


def _console() -> Console:
    return Console(highlight=False, emoji=False, markup=False)


def _table(one: Certificate, *, wide: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    if wide:
        table.add_column("that", ratio=2)
    table.add_column("found", overflow="fold", ratio=3)
    told = ""
    for check in one.checks:
        meaning = [Text(CHECKS[check.name])] if wide else []
        found = _detail(check, wide=wide)
        if check.outcome == "failed":  # one fault may fail many
            found, told = "the same" if check.detail == told else found, check.detail
        table.add_row(check.name, Text(check.outcome, STYLES[check.outcome]), *meaning, Text(found))
    return table


def _detail(check: Check, *, wide: bool) -> str:
    """Say what was found; where there is no column for it, a check that failed says what it was about."""
    about = "" if wide or check.outcome != "failed" else f"not that {CHECKS[check.name]}: "
    return printable(about + check.detail)


def _sum(one: Certificate) -> Text:
    counted = Counter(check.outcome for check in one.checks)
    if one.certified:
        said = ", ".join(f"{counted[outcome]} {outcome}" for outcome in STYLES if counted[outcome])
        return Text.assemble((one.method, "bold"), " is ", ("certified", "green"), f": {said}.")
    failed = ", ".join(check.name for check in one.checks if check.outcome == "failed")
    return Text.assemble((one.method, "bold"), " is ", ("not certified", "bold red"), f"; failed: {failed}.")
