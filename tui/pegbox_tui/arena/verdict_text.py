"""What may be said of the comparison: the recommendation in full, what it rests on, and what to know first."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from pegbox_runs.arena.results import Results
from pegbox_runs.printable import one_line, printable
from pegbox_tui.arena.plane_text import TITLES
from pegbox_tui.arena.view import Scene

NOTHING_YET = "Nothing can be said yet: no training that counts has ended."


def recommendation(scene: Scene) -> Text:
    """Give the sentence, or why there is none."""
    results = scene.watched.results
    if results is None or not results.recommendation:
        return Text(NOTHING_YET, "dim")
    return Text(printable(results.recommendation))


def verdict_lines(scene: Scene) -> list[Text]:
    """Tell all of it; lines aren't wrapped yet."""
    results = scene.watched.results
    lines = [recommendation(scene)]
    if results is None:
        return lines
    return [*lines, Text(""), *_rests_on(results), *_remarks(results)]


def _rests_on(results: Results) -> Iterator[Text]:
    if results.winner is not None:
        yield Text(f"better than every other: {results.winner}", "bold green")
    for number, group in enumerate((one for one in results.groups if len(one) > 1), start=1):
        yield Text(f"tied {number}: {', '.join(group)}")
    if results.pareto is not None:
        axes = ", ".join(TITLES[axis] for axis in results.pareto.axes)
        yield Text(f"beaten by nobody on all of {axes}: {', '.join(results.pareto.front)}")
    rows = results.rows
    if rows is not None:
        said = f"{rows.held_out:,} held-out rows"
        if rows.choosing:
            said += f": {rows.choosing:,} chose learning rates, {rows.deciding:,} say who is better"
        if rows.general:
            said += f"; {rows.general:,} general rows for forgetting"
        yield Text(said)
    seeds = f"{len(results.seeds)} seed{'' if len(results.seeds) == 1 else 's'}"
    steps = "" if results.steps is None else f" · {results.steps:,} steps each"
    yield Text(f"{seeds}{steps} · effective batch {results.effective_batch} · {results.length:,} tokens at most")
    yield Text(f"{one_line(results.model, 100)} · {one_line(results.machine, 100)}", "dim")


def _remarks(results: Results) -> Iterator[Text]:
    if results.remarks:
        yield Text("")
        yield Text("Before you believe it", "bold")
    for remark in results.remarks:
        yield Text("- ").append(printable(remark))
