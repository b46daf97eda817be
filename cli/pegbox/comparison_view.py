"""A comparison in words: a line for each entry, then the leaderboard and what may be said of it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pegbox_methods.recipe import Metric
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.entries import Entry
from pegbox_runs.arena.report.wording import METRICS
from pegbox_runs.arena.results import ContestantResult, Interval, Results
from pegbox_runs.arena.verdict.edge_of_search import remark_on_edge
from pegbox_runs.arena.verdict.own_base import remark_on_change
from pegbox_runs.arena.watching.entry_watching import EntryNow
from pegbox_runs.figures import count, duration, size
from pegbox_runs.printable import one_line, printable
from pegbox_runs.reporting import digits

LONGEST_NAME, LONGEST = 40, 2000
"""Characters of a name, and of a sentence."""
REPORT = ("report.html", "report.md", "results.csv", "results.json")


def begun(entry: Entry, folder: ComparisonFolder) -> str:
    """Tell that an entry has begun, or goes on, by its own recipe: who looks from outside only guesses steps and rate.

    What can't be read isn't told.
    """
    try:
        training = read_recipe(folder.entry(entry.id).recipe).training
    except Refusal:
        return f"{named(entry)} has begun"
    steps = "" if training.max_steps is None else f"{training.max_steps} steps "
    rate = "" if training.learning_rate is None else f"at a rate of {training.learning_rate:.3g}"
    return f"{named(entry)}: {steps}{rate}".rstrip(": ")


def ended(now: EntryNow) -> str:
    """Tell what became of an entry."""
    return f"{named(now.entry)}: {'; '.join(_came(now))}"


def named(entry: Entry) -> str:
    """Name an entry for people."""
    if entry.rung is None:
        return f"{entry.contestant}, seed {entry.seed}"
    return f"{entry.contestant}, a try of the rate {entry.rate:.3g}"


def _came(now: EntryNow) -> Iterator[str]:
    outcome = now.outcome
    if now.loss is not None:
        # Of a try that results.json tells, the time isn't known.
        yield f"loss {now.loss:.4f}" + (f" in {duration(outcome.wall_seconds)}" if outcome.wall_seconds > 0 else "")
        if outcome.device_peak is not None:
            yield f"peak {size(outcome.device_peak)}"
        elif outcome.process_peak is not None:
            yield f"peak at most {size(outcome.process_peak)}"
    elif outcome.diverged:
        yield "its loss blew up"
    elif outcome.state == "failed":
        yield f"failed{' for memory' if outcome.out_of_memory else ''}: {one_line(outcome.why, 300)}"
    else:
        yield outcome.state
    yield from (one_line(change, 200) for change in outcome.changed)


def leaderboard(results: Results, width: int) -> Table:
    """Make the table of those of whom something is known, the best first, the base model as row zero.

    Names are cut before figures are; where there is still no room, columns are left out, the last ones of `GIVES_WAY`
    last.
    """
    shown = [one for one in results.contestants if one.loss is not None]
    shared = [one.place for one in shown if one.place is not None]
    names = [one_line(one.name, LONGEST_NAME) for one in shown]
    cells = [_cells(one, results) for one in shown]
    scored = _metrics(results)
    columns = (*COLUMNS, *(METRICS[metric] for metric in scored))
    widths = {column: max(len(column), *(len(row[column]) for row in cells)) for column in columns}
    longest = max(map(len, (*names, BASE)))
    least = min(longest, SHORT_NAME)
    left = list(columns)
    room = width - PLACE - GAP - sum(widths[column] + GAP for column in left)
    if room < least:  # all of them or none: the rest would be read as if there were no others
        for metric in scored:
            left.remove(METRICS[metric])
            room += widths[METRICS[metric]] + GAP
    for column in GIVES_WAY:
        if room < least:
            left.remove(column)
            room += widths[column] + GAP
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    table.add_column("", justify="right", no_wrap=True, min_width=PLACE)
    table.add_column(
        "contestant", no_wrap=True, overflow="ellipsis", width=max(min(longest, room), min(longest, SHORT_NAME))
    )
    for column in left:
        table.add_column(column, justify="right", no_wrap=True, min_width=widths[column])
    if results.base is not None:
        known = {METRICS[metric]: _percent(score) for metric, score in results.base.scores.items()}
        known["loss"] = f"{results.base.loss:.4f}"
        table.add_row("", Text(BASE, "dim"), *(known.get(column, "") for column in left))
    for one, name, row in zip(shown, names, cells, strict=True):
        place = "" if one.place is None else f"{'=' if shared.count(one.place) > 1 else ''}{one.place}"
        table.add_row(place, Text(name, "bold" if one.place == 1 else ""), *(row[column] for column in left))
    return table


COLUMNS = ("loss", "behind", "forgot", "peak", "time", "adapter", "weights", "rate", "tokens/s", "seeds")
GIVES_WAY = ("tokens/s", "seeds", "rate", "weights", "adapter", "forgot", "time", "peak", "behind")
"""What is left out first where there is no room for all."""
BASE = "base model"
GAP, PLACE, SHORT_NAME = 2, 3, 12
"""Characters: between columns, of a place, and to which a name may be cut."""


def _metrics(results: Results) -> list[Metric]:
    return [metric for metric in METRICS if any(metric in one.scores for one in results.contestants)]


def _percent(score: float) -> str:
    return digits.share(Interval(value=score))[0]


def scores(results: Results) -> Iterator[str]:
    """Say of each contestant what its answers are worth: where the table has no room for that."""
    base = {} if results.base is None else {metric: (_percent(one), "") for metric, one in results.base.scores.items()}
    named = [(one.name, {metric: digits.share(score) for metric, score in one.scores.items()})
             for one in results.contestants if one.loss is not None]  # fmt: skip
    for name, found in ((BASE, base), *named):
        told = [f"{METRICS[metric]} {digits.together(found[metric])}" for metric in METRICS if metric in found]
        if told:
            yield f"{name}: {', '.join(told)}"


def own_remarks(results: Results) -> Iterator[str]:
    """Give of contestants' own remarks those without which their figures mislead."""
    for one in results.contestants:
        for remark in (remark_on_edge(one), remark_on_change(one)):
            if remark is not None:
                yield f"{one.name}: {remark}"


def _digits(value: Interval, sign: str = "") -> str:
    """Write a loss, or a difference of two, to the digits that its range leaves."""
    decimals = digits.decimals_for(value)
    return f"{round(value.value, decimals) + 0.0:{sign}.{max(0, decimals)}f}"


def _cells(one: ContestantResult, results: Results) -> dict[str, str]:
    scored = {METRICS[metric]: digits.share(one.scores.get(metric))[0] for metric in _metrics(results)}
    return scored | {
        "loss": "" if one.loss is None else _digits(one.loss),
        "behind": _behind(one, results),
        "forgot": "-" if one.forgetting is None else _digits(one.forgetting, "+"),
        "peak": _peak(one),
        "time": "-" if one.training_seconds is None else duration(one.training_seconds.value),
        "adapter": size(one.adapter_bytes, brief=True),
        "weights": "-" if one.trainable_weights is None else count(one.trainable_weights),
        "rate": "-" if one.rate is None else f"{one.rate:.2g}",
        "tokens/s": "-" if one.tokens_per_second is None else f"{one.tokens_per_second.value:,.0f}",
        "seeds": f"{len(one.seeds)} of {len(results.seeds)}",
    }


def _peak(one: ContestantResult) -> str:
    """Write the peak on the device; on a CPU that of the process, which is an upper bound."""
    if one.device_peak is None and one.process_peak is not None:
        return f"<= {size(one.process_peak, brief=True)}"
    return size(one.device_peak, brief=True)


def _behind(one: ContestantResult, results: Results) -> str:
    """Say how far one is behind the first, over the same rows and seeds, give or take."""
    first = results.contestants[0].name
    for pair in results.pairs:
        if {pair.one, pair.other} == {first, one.name} and one.name != first:
            found = pair.difference
            away = found.value if pair.one == one.name else -found.value
            decimals = max(0, digits.decimals_for(found))
            said = f"{0:.{decimals}f}" if abs(away) < 0.5 * 10**-decimals else f"{away:+.{decimals}f}"
            half = math.nan if found.low is None or found.high is None else (found.high - found.low) / 2
            return f"{said} ±{half:.{decimals}f}" if math.isfinite(half) else said
    return "-"


def standings(results: Results) -> Iterator[str]:
    """Say what the leaderboard doesn't: who failed and why, who isn't through."""
    for one in results.contestants:
        if one.standing == "failed":
            memory = " for memory" if one.out_of_memory else ""
            why = one_line(one.why, 300)
            yield f"{one.name} failed{memory}" + (f": {why}" if why else "")
        elif one.standing in {"part", "running", "waiting"}:
            yield f"{one.name}: {len(one.seeds)} of {len(results.seeds)} trainings are done"


def show_results(results: Results, folder: ComparisonFolder, console: Console | None = None) -> None:
    """Print what a comparison has come to: leaderboard, what rests on it, and where the report lies."""
    console = console or Console(highlight=False, emoji=False, markup=False)
    if any(one.loss is not None for one in results.contestants):
        table = leaderboard(results, console.width)
        console.print(table)
        scored = _metrics(results)
        if scored and METRICS[scored[0]] not in [column.header for column in table.columns]:
            for line in scores(results):
                console.print(Text(one_line(line, LONGEST)))
        console.print(_legend(results), style="dim")
    for line in standings(results):
        console.print(Text(one_line(line, LONGEST)))
    if results.recommendation:
        console.print(Text(one_line(results.recommendation, LONGEST), "bold"))
    for remark in (*results.remarks, *own_remarks(results)):
        console.print(Text(one_line(f"Mind: {remark}", LONGEST), "dim"))
    there = [name for name in REPORT if (folder.path / name).is_file()]
    if there:
        what = "The numbers so far" if there == [REPORT[-1]] else "The report"
        beside = f" ({', '.join(there[1:])} beside it)" if len(there) > 1 else ""
        console.print(Text(printable(f"{what}: {folder.path / there[0]}{beside}")), soft_wrap=True)


def _legend(results: Results) -> Text:
    rows = results.rows
    on = "" if rows is None else f" on {rows.deciding} held-out rows"
    compared = len(results.compared_seeds or results.seeds)
    seeds = f", mean of {compared} trainings" if compared > 1 else ""
    said = f"loss per token{on}{seeds}; behind: the first, row by row, with the range of 95 %"
    if any(one.forgetting is not None for one in results.contestants):
        said += "; forgot: loss gained on general rows"
    return Text(f"{said}.")
