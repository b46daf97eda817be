"""report.md: the same as tables, short enough for an issue."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pegbox_runs.arena.report.cards import Card, cards
from pegbox_runs.arena.report.leaderboard import Band, Cell, Row, leaderboard
from pegbox_runs.arena.report.names import RECIPES
from pegbox_runs.arena.report.wording import front, how_done, ties, verdict
from pegbox_runs.arena.results import Results
from pegbox_runs.printable import one_line
from pegbox_runs.reporting.markdown_text import code, table, words

_LONGEST_REASON = 300


def report_markdown(results: Results) -> bytes:
    """Write the whole report."""
    return ("\n".join(_lines(results)).rstrip() + "\n").encode()


def _lines(results: Results) -> Iterator[str]:
    told = cards(results)
    yield f"# Comparison {code(results.comparison)}\n"
    yield f"**{words(verdict(results))}**\n"
    for said in (results.recommendation, front(results)):
        if said:
            yield f"{words(said)}\n"
    yield "## Leaderboard\n"
    yield from _leaderboard(results)
    yield "\nIn brackets: where the value lies with 95 % confidence.\n"
    yield "## What is tied\n"
    yield from (f"{words(said)}\n" for said in ties(results))
    failed = [card for card in told if card.failed]
    if failed:
        yield "## What failed\n"
        rows = [(code(card.name), card.standing, code(one_line(card.why, _LONGEST_REASON))) for card in failed]
        yield from table(("contestant", "how", "its own words"), rows)
        yield ""
    yield "## Settings\n"
    yield from table(("contestant", "method", "learning rate", "settings", "remarks"), map(_settings, told))
    yield "\n## How it was done\n"
    yield from table(("what", "how much"), ((words(what), words(much)) for what, much in how_done(results)))
    yield ""
    if results.remarks:
        yield "## Remarks\n"
        yield from (f"- {words(remark)}" for remark in results.remarks)
        yield ""
    yield "## How to repeat it\n"
    yield f"In the comparison's folder, `pegbox train {RECIPES}/NAME-seed-N.toml` repeats a row's training.\n"


def _leaderboard(results: Results) -> Iterator[str]:
    board = leaderboard(results)
    titles = [column.title + (f", {column.unit}" if column.unit else "") for column in board.columns]
    rows = [] if board.base is None else [_row(board.base, "", "base model")]
    rows += [_row(row, _group(band), code(row.name)) for band in board.bands for row in band.rows]
    yield from table(("place", "group", "contestant", "method", *titles), rows)


def _group(band: Band) -> str:
    found = re.match(r"Group (\d+)", band.title)
    return found[1] if found else "–"


def _row(row: Row, group: str, name: str) -> list[str]:
    return [row.place, group, name, words(row.method), *map(_cell, row.cells)]


def _cell(cell: Cell) -> str:
    beside = "; ".join(said for said in (cell.range, cell.note) if said)
    return words(f"{cell.value} ({beside})" if beside else cell.value)


def _settings(card: Card) -> list[str]:
    settings = code("; ".join(f"{key} = {value}" for key, value in card.settings))
    (rate,) = (said for what, said in card.facts if what == "Learning rate")
    return [code(card.name), words(card.method), words(rate), settings, words("; ".join(card.remarks))]
