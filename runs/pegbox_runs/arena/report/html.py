"""report.html: one file that any browser opens without a network, and that runs no script."""

from __future__ import annotations

import io
from pathlib import Path

from pegbox_runs.arena.report import names
from pegbox_runs.arena.report.cards import cards
from pegbox_runs.arena.report.charts.curve_chart import curve_chart
from pegbox_runs.arena.report.charts.interval_chart import interval_chart
from pegbox_runs.arena.report.charts.scatter_chart import costs, scatter_chart
from pegbox_runs.arena.report.leaderboard import leaderboard, on_device
from pegbox_runs.arena.report.wording import front, how_done, ties, verdict
from pegbox_runs.arena.results import Results
from pegbox_runs.reporting import digits
from pegbox_runs.reporting.charts.svg import SERIES, Look, swatch
from pegbox_runs.reporting.page import page_template
from pegbox_runs.reporting.phrases import date

_HERE = Path(__file__).parent
_MOST_PAIRS = 100


def report_html(results: Results) -> bytes:
    """Write the page."""
    page = page_template(_HERE).stream(
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
    written = io.BytesIO()
    page.dump(written, encoding="utf-8")  # piece by piece: those of ten thousand trainings take several times its room
    return written.getvalue()


def _pairs(results: Results) -> list[tuple[str, str, tuple[str, str], str]]:
    return [
        (pair.one, pair.other, digits.plain(pair.difference, sign=True), "told apart" if pair.told_apart else "tied")
        for pair in results.pairs[:_MOST_PAIRS]
    ]
