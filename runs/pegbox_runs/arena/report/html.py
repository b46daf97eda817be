"""report.html: one file that any browser opens without a network, and that runs no script."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from pegbox_runs.arena.report import digits, names
from pegbox_runs.arena.report.cards import cards
from pegbox_runs.arena.report.charts.curve_chart import curve_chart
from pegbox_runs.arena.report.charts.interval_chart import interval_chart
from pegbox_runs.arena.report.charts.scatter_chart import costs, scatter_chart
from pegbox_runs.arena.report.charts.svg import SERIES, Look, swatch
from pegbox_runs.arena.report.leaderboard import leaderboard, on_device
from pegbox_runs.arena.report.wording import date, front, how_done, ties, verdict
from pegbox_runs.arena.results import Results
from pegbox_runs.printable import printable

_HERE = Path(__file__).parent
_MOST_PAIRS = 100


def report_html(results: Results) -> bytes:
    """Write the page."""
    page = _template().render(
        results=results,
        verdict=verdict(results),
        front=front(results),
        board=leaderboard(results),
        losses=interval_chart(results),
        curves=curve_chart(results),
        scatters=[made for cost in costs(results) if (made := scatter_chart(results, cost))],
        ties=list(ties(results)),
        pairs=_pairs(results),
        more_pairs=max(0, len(results.pairs) - _MOST_PAIRS),
        cards=cards(results),
        on_device=on_device(results),
        how=how_done(results),
        made=date(results.made),
        names=names,
        series=SERIES,
        swatch=lambda number: swatch(Look(number)),
    )
    return page.encode()


def _pairs(results: Results) -> list[tuple[str, str, tuple[str, str], str]]:
    return [
        (pair.one, pair.other, digits.plain(pair.difference, sign=True), "told apart" if pair.told_apart else "tied")
        for pair in results.pairs[:_MOST_PAIRS]
    ]


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja")


def _shown(value: object) -> object:
    """Make what a template shows printable; markup is ours, and its texts went through `svg.tag`."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
